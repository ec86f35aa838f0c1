"""A node of a Ray cluster is lost while it works on a stage."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.baseline import ENGINE, SIGNS, TRAINER
from tests.faults.driver import Driver, Event
from tests.faults.processes import VARIABLE
from tests.faults.scene import Scene
from tests.ray_nodes import two_nodes

PATIENCE = 1200  # seconds within which the second node gets something to do on any machine


@dataclass(frozen=True)
class RayNode:
    """Kill the second of two nodes as a power cut would; the run goes on with the first."""

    name: str = "kill -9 Ray node"

    def impossible(self) -> str | None:
        """Always possible where Ray is."""
        return None

    def inflict(self, scene: Scene) -> None:
        """After a random sign of life from the second node and a random while."""
        if scene.rng.random() < 0.5:
            scene.baseline.copy_before(scene.rng.choice((TRAINER, ENGINE)), scene.store)
        sign, seconds = scene.rng.randint(1, 2), scene.rng.uniform(0, 0.5)
        with two_nodes(scene.folder / "nodes.log", {VARIABLE: scene.marker, "OMP_NUM_THREADS": "1"}) as nodes:
            run = scene.start(arguments=("--executor", "ray", "--address", nodes.address))

            def is_sign(event: Event) -> bool:
                return event["event"] in SIGNS and event.get("stage") in on_node(run, nodes.second)

            run.wait_for(is_sign, sign, PATIENCE)
            run.wait_for(is_sign, sign + 1, seconds)
            running = sorted(set(scene.running(run)) & on_node(run, nodes.second))
            nodes.kill_second()
            code = run.end()
        scene.log |= {"moment": f"sign {sign} from the node, +{seconds:.2f} s", "running": running, "exit_code": code}
        scene.log |= {"victim": "Ray node", "hit": bool(running)}
        scene.require(code == 0, f"exit code {code} after a node was lost: {run.errors}")


def on_node(run: Driver, node: str) -> set[str]:
    """Stages whose last place was the node."""
    places = {event["stage"]: event["node"] for _, event in run.events if "node" in event}
    return {stage for stage, place in places.items() if place == node}
