"""One `analyze` spec → the task it carries."""

from __future__ import annotations

from typing import Any

from trainers.analysis import corrupt, drift, estimates, states

TASKS = {
    "corrupt": corrupt.run,
    "states": states.run,
    "rewards": estimates.run_rewards,
    "values": estimates.run_values,
    "drift": drift.run,
}


def analyze(spec: Any) -> None:
    """Run an `analyze` spec. Raises TrainerError."""
    TASKS[spec.task.name](spec)
