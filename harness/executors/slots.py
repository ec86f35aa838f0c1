"""The slots of this machine: one a GPU, pinned by CUDA_VISIBLE_DEVICES, or one for a machine without any.

A slot keeps its trainers' process from one stage to the next, and ends it before an engine starts there: trainer and
engine never share a GPU, nor a CPU's memory.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import memory, process
from harness.errors import EnvironmentFault
from harness.executors.gpus import Gpu
from harness.executors.lane import Lane
from harness.executors.places import Place, Work
from harness.process import OnEvent

PATIENCE_SECONDS = 5.0  # for a lane to read the end of a child that is gone


class Slot:
    """One GPU, or the machine: a lane of the driver and the trainers' process."""

    def __init__(self, gpu: Gpu | None) -> None:
        self.gpu = gpu
        self.lane = Lane()
        self.trainers = process.TrainerWorker(pinned([self]))
        self.engine: process.Child | None = None

    def end(self) -> None:
        """End what runs here; called by another thread."""
        running = [self.trainers.child, self.engine.process if self.engine is not None else None]
        for child in running:
            if child is not None:
                process.end(child)


def pinned(slots: Sequence[Slot]) -> Mapping[str, str]:
    """The environment of a child that may use the GPUs of ``slots`` and no other."""
    named = [slot.gpu.name for slot in slots if slot.gpu is not None]
    return {"CUDA_VISIBLE_DEVICES": ",".join(named)} if named else {}


class Share:
    """Slots that one stage holds together."""

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots
        self.lane = slots[0].lane

    def train(self, work: Work, on_event: OnEvent) -> int:
        """In the slot's trainers' process; over several GPUs under torchrun."""
        if len(self.slots) == 1:
            return self.slots[0].trainers.run(work.file, work.log, on_event)
        return self._alone("torch.distributed.run", torchrun(len(self.slots), work.file), work.log, on_event)

    def serve(self, work: Work, on_event: OnEvent, descriptors: Sequence[int]) -> int:
        """As one engine process. Raises EnvironmentFault where its memory is not free."""
        memory.require(work.memory)
        return self._alone("harness.backends.job", [str(work.file)], work.log, on_event, descriptors)

    def _alone(
        self, module: str, arguments: list[str], log: Path, on_event: OnEvent, descriptors: Sequence[int] = ()
    ) -> int:
        for slot in self.slots:
            slot.trainers.close()  # the child gets the memory
        child = self.slots[0].engine = process.Child(module, arguments, log, descriptors, pinned(self.slots))
        try:
            for event in child.events():
                on_event(event)
            return child.code
        finally:
            self.slots[0].engine = None


def torchrun(processes: int, spec: Path) -> list[str]:
    """Arguments of ``torch.distributed.run`` for a spec; every process dies with the one that started it."""
    leashed = ["-m", "harness.leash", "parent", sys.executable, "-m", "trainers", str(spec)]
    return ["--standalone", "--nproc-per-node", str(processes), "--no-python", sys.executable, *leashed]


class Slots:
    """The pool of this machine."""

    def __init__(self, gpus: list[Gpu]) -> None:
        self.gpus = gpus
        self.slots = [Slot(gpu) for gpu in gpus] or [Slot(None)]
        self.unused = list(self.slots)

    @property
    def size(self) -> int:
        """Slots there are."""
        return len(self.slots)

    @property
    def free(self) -> int:
        """Slots that nothing holds."""
        return len(self.unused)

    def require(self, count: int, name: str) -> None:
        """Raise EnvironmentFault if this machine has fewer than ``count`` GPUs; one is never refused, since a driver
        may be there without the program that lists its GPUs.
        """
        if count > max(1, len(self.gpus)):
            raise EnvironmentFault(
                f"{name} asks for {count} GPUs, and this machine has {len(self.gpus)}.",
                "lower resources.training_gpus or generate.tensor_parallel, or run on a cluster: --executor ray",
            )

    def take(self, count: int) -> Share | None:
        """``count`` slots, or None while they are held."""
        if count > self.free:
            return None
        taken, self.unused = self.unused[:count], self.unused[count:]
        return Share(taken)

    def give_back(self, place: Place) -> None:
        """The share's slots are free again, in their own order."""
        assert isinstance(place, Share)
        self.unused = [slot for slot in self.slots if slot in self.unused or slot in place.slots]

    def close(self) -> None:
        """End every child; a lane that read from one comes to its end."""
        busy = [slot for slot in self.slots if slot.trainers.child is not None or slot.engine is not None]
        for slot in busy:
            slot.end()
        for slot in busy:
            if slot.lane.idle.wait(PATIENCE_SECONDS):
                slot.trainers.close()
