"""What ``bridgebench score`` was asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.errors import ConfigError, did_you_mean
from harness.stats import alpaca_lc_bootstrap, bootstrap

Duplicates = Literal["first", "last", "error"]
Control = Literal["official", "corrected"]

ALIASES = {
    "alpaca_eval": "alpaca_eval",
    "alpaca_eval_2": "alpaca_eval",
    "arena_hard": "arena_hard",
    "arena_hard_v0_1": "arena_hard",
    "arena_hard_v2": "arena_hard_v2",
    "arena_hard_v2_0": "arena_hard_v2",
    "mt_bench": "mt_bench",
}


@dataclass(frozen=True)
class Request:
    """The settings of one call; ``benchmark`` in its canonical name.

    Raises ConfigError for settings that do not go together.
    """

    benchmark: str
    files: list[Path]
    length_control: Control | None = None
    gamed: Path | None = None
    difficulty: Path | None = None
    baseline: str | None = None
    answers: tuple[Path, ...] = ()
    max_missing: float = 0.01
    duplicates: Duplicates = "error"
    seed: int = 0
    draws: int = bootstrap.DRAWS
    lc_draws: int = alpaca_lc_bootstrap.DRAWS
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "benchmark", canonical(self.benchmark))
        if not 0 <= self.max_missing < 1:
            raise ConfigError(f"--max-missing is {self.max_missing}, not a share of 0 to below 1.")
        if self.answers and not self.benchmark.startswith("arena_hard"):
            raise ConfigError(f"--answers is for Arena-Hard's style control, and --benchmark is {self.benchmark}.")
        if self.benchmark != "alpaca_eval" and (self.length_control or self.gamed or self.difficulty):
            raise ConfigError(
                "--length-control, --gamed and --difficulty are for AlpacaEval's own fit, "
                f"and --benchmark is {self.benchmark}.",
                "other benchmarks get our own length control where their verdicts have lengths",
            )


def canonical(name: str) -> str:
    """A benchmark's name without differences in spelling; an unknown one stands for itself.

    Raises ConfigError for a near miss of a known one.
    """
    key = name.lower().replace("-", "_").replace(".", "_").replace(" ", "_")
    if key in ALIASES:
        return ALIASES[key]
    near = did_you_mean(key, ALIASES)
    if near and ":" not in name and "/" not in name:
        raise ConfigError(
            f'there is no benchmark "{name}".{near}', "score reads verdicts of a benchmark of your own too"
        )
    return name
