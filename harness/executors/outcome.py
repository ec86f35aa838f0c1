"""What a run did: which stages were executed, reused, failed or held up by a failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.errors import ConfigError, EnvironmentFault
from harness.stage import Stage


@dataclass
class Outcome:
    """Filled while a plan runs; keys are ``kind/key``."""

    executed: list[Stage] = field(default_factory=list)
    reused: list[Stage] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """Of the failed ones, those that were turned down before they began, with the exit code of the mistake."""

    def fail(self, stage: Stage, why: str, error: Exception | None = None) -> None:
        """Record a stage that broke."""
        self.failed[stage.name] = why
        self.labels[stage.name] = f"{stage.kind} {stage.label}"
        if isinstance(error, ConfigError | EnvironmentFault):
            self.refused[stage.name] = error.exit_code

    @property
    def exit_code(self) -> int:
        """0, or 1 if a cell failed; a mistake's own code (2 or 3) if there was nothing but mistakes."""
        if len(self.refused) < len(self.failed):
            return 1
        return max(self.refused.values(), default=0)

    def stops(self, stage: Stage) -> str | None:
        """The failed or blocked input that keeps ``stage`` from running, if any."""
        for needed in stage.inputs.values():
            if needed.name in self.failed:
                return needed.name
            if needed.name in self.blocked:
                return self.blocked[needed.name]
        return None

    def why_missing(self, stage: Stage) -> str | None:
        """One line for a board: why the row that needs ``stage`` has no result."""
        cause = self.blocked.get(stage.name, stage.name)
        if cause not in self.failed:
            return None
        return f"{self.labels[cause]} failed: {self.failed[cause].splitlines()[0]}"

    def summary(self) -> str:
        """``executed 41 stages (10 train, …), reused 3``."""
        counts = Counter(stage.kind for stage in self.executed)
        inner = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        text = f"executed {len(self.executed)} stages" + (f" ({inner})" if inner else "")
        text += f", reused {len(self.reused)}"
        return text + (f", failed {len(self.failed)}, held up {len(self.blocked)}" if self.failed else "")
