"""Signals to a process at a random moment: which process, which signal, and which stages it works on.

Another victim is one more `Kill`: its own ``find``, and ``arguments`` if its runs need some.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from tests import sockets
from tests.faults import comparison, processes
from tests.faults.baseline import ENGINE, OWN, SIGNS, TRAINER, Moment
from tests.faults.driver import Driver, Event
from tests.faults.ray_node import RayNode
from tests.faults.scene import Fault, Scene

PATIENCE = 1200  # seconds within which the wanted moment comes on any machine
INTERRUPTED = 130
Find = Callable[[Scene, Driver], list[int]]


@dataclass(frozen=True)
class Kill:
    """Send ``signal`` to the processes that ``find`` finds while a stage of ``kinds`` runs."""

    name: str
    signal: signal.Signals
    find: Find
    kinds: tuple[str, ...]
    fails_stage: bool = True
    """Whether the run outlives the victim and says that a stage failed."""
    arguments: tuple[str, ...] = ()
    prepared: float = 0.5
    """Probability to start with all that comes before stages of ``kinds`` done."""

    def impossible(self) -> str | None:
        """Always possible."""
        return None

    def inflict(self, scene: Scene) -> None:
        """Run, wait for the moment, send the signal, and let the run end as it will."""
        if scene.rng.random() < self.prepared:
            scene.baseline.copy_before(self.kinds, scene.store)
        moment = scene.baseline.moment(self.kinds, scene.rng, comparison.finished(scene.store).keys())
        run = scene.start(arguments=self.arguments)
        wait_for(run, moment)
        running = self._strike(scene, run)
        began = time.monotonic()
        code = run.end()
        own = self.find in (the_driver, everybody)
        if own and self.signal == signal.SIGKILL:
            running = [name for name in scene.running(run) if name in run.names("started")]
        elif not own and self.fails_stage and not run.names("failed") and code != INTERRUPTED:
            running = []  # the victim had nothing in its hands
        scene.log |= {"moment": f"{moment.stage} {moment.event}+{moment.seconds:.2f} s", "running": running}
        scene.log |= {"exit_code": code, "seconds_to_end": round(time.monotonic() - began, 2), "hit": bool(running)}
        scene.require(code in self._codes(), f"exit code {code} after {self.name}: {run.errors}")
        if self.signal == signal.SIGTERM:
            check_state(scene, run, running)

    def _strike(self, scene: Scene, run: Driver) -> list[str]:
        """The stages under way, seen just before the signal. A stage has begun before its process has."""
        while not (victims := self.find(scene, run)) and run.child.poll() is None:
            time.sleep(0.05)
        there = [process.role for process in processes.of_trial(scene.marker)]
        scene.log |= {
            "victim": self.name.split(maxsplit=2)[-1],
            "found": len(victims),
            "processes": sorted(there),
        }
        running = [name for name in scene.running(run) if name.split("/")[0] in self.kinds]
        struck = [victim for victim in victims if strike(victim, self.signal)]
        return running if struck else []

    def _codes(self) -> tuple[int, ...]:
        if self.find in (the_driver, everybody):
            return (-signal.SIGKILL, 0) if self.signal == signal.SIGKILL else (INTERRUPTED, -signal.SIGTERM, 0)
        return (0, 1, INTERRUPTED) if self.signal == signal.SIGTERM else (0, 1)


def strike(pid: int, number: signal.Signals) -> bool:
    """Send the signal; False if the process is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(run: Driver, moment: Moment) -> None:
    """Until the moment has come, or the run has ended. A run that is faster than the undisturbed one is not waited for
    beyond the stage's next sign of life.
    """

    def is_sign(event: Event) -> bool:
        return event.get("stage") == moment.stage and event["event"] in SIGNS

    run.wait_for(is_sign, moment.event + 1, PATIENCE)
    run.wait_for(is_sign, moment.event + 2, moment.seconds)


def check_state(scene: Scene, run: Driver, running: list[str]) -> None:
    """Within its grace a trainer keeps every step that it told of."""
    for name in running:
        steps = [event for _, event in run.events if event["event"] == "progress" and event["stage"] == name]
        if name.startswith("train/") and steps and steps[-1]["done"] < steps[-1]["total"]:
            states = [
                int(path.stem.split("-")[1]) for path in (scene.store / name / "state").glob("step-*.safetensors")
            ]
            kept, told = max(states, default=0), steps[-1]["done"]
            scene.log |= {"steps": told, "kept": kept}
            scene.require(kept >= told, f"{name} told of {told} steps and kept {kept} after SIGTERM")


def the_driver(scene: Scene, run: Driver) -> list[int]:
    """The run's own process."""
    return [run.child.pid] if run.child.poll() is None else []


def everybody(scene: Scene, run: Driver) -> list[int]:
    """Every process of the run, as a batch system does it."""
    return [process.pid for process in processes.of_trial(scene.marker)]


def child(role: str) -> Find:
    """A child of the run by its role."""

    def find(scene: Scene, run: Driver) -> list[int]:
        return [process.pid for process in processes.of_trial(scene.marker) if process.role == role]

    return find


def the_judge(scene: Scene, run: Driver) -> list[int]:
    """The judge's server."""
    return [scene.judge.child.pid] if scene.judge.child is not None else []


def the_ray_worker(scene: Scene, run: Driver) -> list[int]:
    """The Ray workers whose children the trainer and the engine are."""
    working = [process for process in processes.of_trial(scene.marker) if process.role in ("trainer", "engine")]
    return sorted({sockets.parent(process.pid) for process in working} - {0, 1, run.child.pid})


DRIVER = Kill("kill -9 driver", signal.SIGKILL, the_driver, (*TRAINER, *ENGINE, *OWN))
TRAINER_KILL = Kill("kill -9 trainer", signal.SIGKILL, child("trainer"), TRAINER)
ENGINE_KILL = Kill("kill -9 engine", signal.SIGKILL, child("engine"), ENGINE)
JUDGE_KILL = Kill("kill -9 judge server", signal.SIGKILL, the_judge, ("judge",))
RAY_WORKER = Kill(
    "kill -9 Ray worker",
    signal.SIGKILL,
    the_ray_worker,
    (*TRAINER, *ENGINE),
    fails_stage=False,
    arguments=("--executor", "ray"),
)
KINDS: list[Fault] = [DRIVER, TRAINER_KILL, ENGINE_KILL, JUDGE_KILL]
if find_spec("ray") is not None:
    KINDS += [RAY_WORKER, RayNode()]
TERMS = [
    Kill("SIGTERM to driver", signal.SIGTERM, the_driver, (*TRAINER, *ENGINE, *OWN)),
    Kill("SIGTERM to trainer", signal.SIGTERM, child("trainer"), TRAINER),
    Kill("SIGTERM to all", signal.SIGTERM, everybody, ("train",)),
]
