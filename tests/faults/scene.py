"""Where one trial happens: its store, its recipe, its judge, and every run that was made."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.faults import comparison
from tests.faults.baseline import Baseline
from tests.faults.driver import Driver
from tests.faults.judge_server import JudgeServer


@dataclass
class Scene:
    """Given to a fault; ``log`` is what the trial's record says of it, ``wrong`` what was not as it must be."""

    folder: Path
    recipe: Path
    baseline: Baseline
    judge: JudgeServer
    rng: random.Random
    marker: str = field(default_factory=lambda: uuid.uuid4().hex)
    runs: list[Driver] = field(default_factory=list)
    log: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """The trial's own store."""
        return self.folder / "results"

    def start(self, **more: Any) -> Driver:
        """Start a run on the store (see `Driver`)."""
        run = Driver(self.store, self.recipe, self.marker, **more)
        self.runs.append(run)
        return run

    def running(self, run: Driver) -> list[str]:
        """Stages that ``run`` had begun and that have no manifest."""
        return sorted(run.under_way() - comparison.finished(self.store).keys())

    def require(self, holds: bool, otherwise: str) -> None:
        """Note ``otherwise`` unless ``holds``."""
        if not holds:
            self.wrong.append(otherwise)


class Fault(Protocol):
    """Something that goes wrong."""

    name: str

    def impossible(self) -> str | None:
        """Why it cannot be injected on this machine, if it cannot."""

    def inflict(self, scene: Scene) -> None:
        """Run until the fault has happened and the disturbed run has ended."""
