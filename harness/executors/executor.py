"""What the rest of the harness asks of an executor."""

from __future__ import annotations

from typing import Protocol

from harness.executors.outcome import Outcome
from harness.plan import Plan
from harness.stage import Stage


class Executor(Protocol):
    """Runs stages, on whatever machines it has."""

    def check(self, plan: Plan) -> None:
        """Raise EnvironmentFault, with the numbers, for a stage that none of its machines could run."""

    def run(self, plan: Plan) -> Outcome:
        """Execute what is missing. Raises StageFailed at the first failure if it was told to."""

    def run_stages(self, stages: list[Stage], recipe: str) -> Outcome:
        """`run` for stages in an order in which they can run."""
