"""Run a plan to its board, and say how it went: what ``run`` and ``eval`` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import board
from harness.errors import BridgebenchError
from harness.executors.executor import Executor
from harness.executors.local import LocalExecutor
from harness.executors.outcome import Outcome
from harness.plan import Plan
from harness.progress import Reporter
from harness.store import Store


@dataclass(frozen=True)
class Done:
    """A plan that was run."""

    plan: Plan
    outcome: Outcome
    board: Path | None

    @property
    def exit_code(self) -> int:
        """0; 1 if a cell failed; 2 or 3 if rows were refused before they began and nothing else went wrong."""
        refused = max((error.exit_code for error in self.plan.refused.values()), default=0)
        return self.outcome.exit_code if self.outcome.exit_code == 1 else max(refused, self.outcome.exit_code)

    def paragraphs(self) -> Iterator[str]:
        """One per thing that went wrong, and at the end the command that tries again."""
        for name, error in self.plan.refused.items():
            yield BridgebenchError(f"row {name}: {error.message}", error.hint).show()
        for name, why in self.outcome.failed.items():
            yield f"error: {self.outcome.labels[name]} ({name}) failed: {why}"
        if self.outcome.failed:
            yield f"bridgebench run {self.plan.recipe.name}   runs the failed stages again"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "board": str(self.board) if self.board is not None else None,
            "executed": len(self.outcome.executed),
            "failed": self.outcome.failed,
            "refused": {name: error.message for name, error in self.plan.refused.items()},
        }


def run(
    plan: Plan, store: Store, reporter: Reporter, *, keep_going: bool = True, executor: Executor | None = None
) -> Done:
    """Execute what is missing, here or by ``executor``, and build the board. Raises StageFailed at the first failure
    without ``keep_going``.
    """
    executor = executor or LocalExecutor(store, reporter, keep_going=keep_going)
    try:
        outcome = executor.run(plan)
    finally:
        reporter.end()
    return Done(plan, outcome, board.build(plan, store, outcome))
