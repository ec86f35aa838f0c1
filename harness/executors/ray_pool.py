"""The places of a Ray cluster: one a GPU, or one a node's worth of cores. Ray decides which node a place is.

A child runs as a Ray task that yields its events. If its node or its Ray worker is lost, the same child is started
again elsewhere: it continues from the stage's last chunk or resume point. A stage's own failure is an exit code and is
never tried again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from harness import process
from harness.errors import EnvironmentFault, StageFailed
from harness.executors.lane import Lane
from harness.executors.places import Place, Work
from harness.executors.ray_cluster import GIB, Cluster, Node
from harness.executors.ray_task import EXIT, PLACED, perform
from harness.executors.slots import torchrun
from harness.process import OnEvent

ATTEMPTS = 4
JOIN_SECONDS = 120.0  # for another node that can run the stage, after one was lost
TOLD_TO_STOP = (130, -signal.SIGTERM)
"""Exit codes of a child on a node that is being taken away; the driver itself stops one with `RayPlace.cancel`."""
HINT = "lower resources.training_gpus, generate.tensor_parallel or resources.cpus, or add a node that is large enough"


class Lost(Exception):
    """The node or the Ray worker under a child is gone."""


class RayPlace:
    """A share of the cluster: as many slots as the stage's GPUs."""

    def __init__(self, pool: RayPool) -> None:
        self.pool, self.lane = pool, Lane()
        self.slots = 1
        self.stream: Any = None

    def train(self, work: Work, on_event: OnEvent) -> int:
        """As a task of its own; over several GPUs under torchrun."""
        if self.slots == 1:
            return self._run("trainers", [str(work.file)], work, on_event)
        return self._run("torch.distributed.run", torchrun(self.slots, work.file), work, on_event)

    def serve(self, work: Work, on_event: OnEvent, descriptors: Sequence[int]) -> int:
        """One engine start, one task. ``descriptors`` stay with the driver; on the node `Work.locks` are held."""
        return self._run("harness.backends.job", [str(work.file)], work, on_event)

    def _run(self, module: str, arguments: list[str], work: Work, on_event: OnEvent) -> int:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(module, arguments, work, on_event, JOIN_SECONDS if attempt > 1 else 0.0)
            except Lost as lost:
                if self.pool.closing:
                    raise KeyboardInterrupt from None
                why = str(lost)
                if attempt < ATTEMPTS:
                    work.message(f"{work.name}: {why}; starting it again ({attempt + 1} of {ATTEMPTS})")
        raise StageFailed(f"its node was lost {ATTEMPTS} times: {why}", f"log: {work.log}")

    def _attempt(self, module: str, arguments: list[str], work: Work, on_event: OnEvent, patience: float) -> int:
        import ray

        code = 1
        with _options(self.pool.needs(work, patience)) as options:
            task = ray.remote(perform).options(**options)
            self.stream = task.remote(module, arguments, work.log, work.locks)
            try:
                for reference in self.stream:
                    event = ray.get(reference)
                    if event["event"] == EXIT:
                        code = event["code"]
                    elif event["event"] == PLACED:
                        work.placed(event["node"])
                    else:
                        on_event(event)
            except ray.exceptions.TaskCancelledError:
                raise KeyboardInterrupt from None
            except ray.exceptions.RayTaskError as error:
                raise StageFailed(f"the task broke on its node: {str(error).strip().splitlines()[-1]}") from error
            except ray.exceptions.RayError as error:
                raise Lost(str(error).partition(". ")[0]) from error
            finally:
                self.stream = None
        if code in TOLD_TO_STOP and not self.pool.closing:
            raise Lost("it was told to stop on its node")
        return code

    def cancel(self) -> None:
        """Tell a running child to stop; the task gives it its grace."""
        import ray

        stream = self.stream
        if stream is not None:
            ray.cancel(stream, force=False)


@contextmanager
def _options(needs: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Options of a task with those needs. Several GPUs are reserved together, on one node, before the task is sent."""
    once = {"num_returns": "streaming", "max_retries": 0}  # an attempt; `RayPlace` counts them
    gpus, cpus, memory = needs["GPU"], needs["CPU"], needs["memory"]
    sized = {"num_gpus": gpus, "num_cpus": cpus, "memory": memory}
    if gpus <= 1:
        yield {**once, **sized, "scheduling_strategy": "SPREAD"}
        return
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundle = {name: value for name, value in needs.items() if value}
    group = placement_group([bundle], strategy="STRICT_PACK")
    try:
        yield {**once, **sized, "scheduling_strategy": PlacementGroupSchedulingStrategy(group)}
    finally:
        remove_placement_group(group)


class RayPool:
    """As many places as the cluster has now: nodes that join are used, nodes that are lost are not counted."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.held: list[RayPlace] = []
        self.idle: list[RayPlace] = []
        self.closing = False

    @property
    def size(self) -> int:
        """GPUs of the cluster; without any, nodes counted by the cores that a stage takes."""
        nodes = self.cluster.nodes
        gpus = sum(node.gpus for node in nodes)
        cores = cores_of_smallest(nodes)
        return gpus or max(1, sum(node.cpus // cores for node in nodes))

    @property
    def free(self) -> int:
        """Places that nothing holds."""
        return max(0, self.size - sum(place.slots for place in self.held))

    def require(self, count: int, name: str) -> None:
        """Raise EnvironmentFault if no node has ``count`` GPUs."""
        nodes = self.cluster.nodes
        largest = max((node.gpus for node in nodes), default=0)
        if count > largest:
            raise EnvironmentFault(
                f"{name} asks for {count} GPUs on one node; the largest of the {len(nodes)} nodes has {largest}.", HINT
            )

    def needs(self, work: Work, patience: float) -> dict[str, float]:
        """What a task asks Ray for. Raises EnvironmentFault where no node has as much, nor any that joins within
        ``patience`` seconds: Ray itself would wait for ever.
        """
        deadline = time.monotonic() + patience
        while True:
            nodes = self.cluster.nodes
            cpus = work.cpus or (max(1, work.gpus) if any(node.gpus for node in nodes) else cores_of_smallest(nodes))
            if any(node.gpus >= work.gpus and node.cpus >= cpus and node.memory >= work.memory for node in nodes):
                return {"GPU": work.gpus, "CPU": cpus, "memory": work.memory}
            if time.monotonic() > deadline or self.closing:
                raise _too_large(work, cpus, nodes)
            time.sleep(1)

    def take(self, count: int) -> RayPlace | None:
        """A place of ``count`` slots, or None while they are held."""
        if count > self.free and self.held:
            return None
        place = self.idle.pop() if self.idle else RayPlace(self)
        place.slots = count
        self.held.append(place)
        return place

    def give_back(self, place: Place) -> None:
        """The place is free again."""
        assert isinstance(place, RayPlace)
        self.held.remove(place)
        self.idle.append(place)

    def close(self) -> None:
        """Cancel what still runs and give it the time to stop."""
        self.closing = True
        for place in self.held:
            place.cancel()
        deadline = time.monotonic() + process.GRACE_SECONDS
        for place in self.held:
            place.lane.idle.wait(max(0.0, deadline - time.monotonic()))


def cores_of_smallest(nodes: list[Node]) -> int:
    """Cores of the smallest node that has any: what a stage takes where there are no GPUs, as it takes a machine."""
    return min((node.cpus for node in nodes if node.cpus > 0), default=1)


def _too_large(work: Work, cpus: int, nodes: list[Node]) -> EnvironmentFault:
    told = "; ".join(f"{node.gpus} GPUs, {node.cpus} cores, {node.memory / GIB:.1f} GiB" for node in nodes)
    return EnvironmentFault(
        f"{work.name} needs {work.gpus} GPUs, {cpus} cores and {work.memory / GIB:.1f} GiB of memory on one node, and "
        f"no node has all three: {told}.",
        HINT,
    )
