"""Where the driver's children run: a slot of this machine, or a share of a cluster. One child at a time in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.executors.lane import Lane
from harness.process import OnEvent


@dataclass(frozen=True)
class Work:
    """What a child is told, and what it takes of a machine."""

    name: str
    """``kind/key`` of the stage, the first of several."""
    file: Path
    """SPEC.json of a trainer or JOB.json of an engine."""
    log: Path
    gpus: int = 0
    cpus: int | None = None
    memory: int = 0
    """Bytes of host memory, 0 where nothing tells."""
    locks: list[Path] = field(default_factory=list)
    """One a stage: held where the child runs for as long as it writes."""
    message: Callable[[str], None] = lambda text: None
    """Says something to the user."""
    placed: Callable[[str], None] = lambda node: None
    """Told the node of a cluster on which the child begins."""


class Place(Protocol):
    """Holds the driver's thread for one child at a time."""

    lane: Lane

    def train(self, work: Work, on_event: OnEvent) -> int:
        """Run a spec by the trainers; returns the exit code, negative for a signal."""

    def serve(self, work: Work, on_event: OnEvent, descriptors: Sequence[int]) -> int:
        """Run a generate job with no trainer beside it; returns the exit code. The child inherits ``descriptors``."""


class Pool(Protocol):
    """All places of an executor; only the driver's main thread takes and gives back."""

    @property
    def size(self) -> int:
        """Places there are, each for one GPU or, without any, for one child."""

    @property
    def free(self) -> int:
        """Places that nothing holds."""

    def require(self, count: int, name: str) -> None:
        """Raise EnvironmentFault if no machine of the pool has ``count`` GPUs for the stage ``name``."""

    def take(self, count: int) -> Place | None:
        """A place of ``count`` slots on one machine, or None while they are held."""

    def give_back(self, place: Place) -> None:
        """The place is free again."""

    def close(self) -> None:
        """End every child that still runs."""
