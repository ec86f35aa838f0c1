"""One metric of a recipe cell as a matrix: a line per training seed, a column per instruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.aggregate import table
from harness.aggregate.comparison import Metric, outcomes
from harness.aggregate.table import Table, Verdict

Array = np.ndarray
Seed = int | None
"""A training seed; None for a checkpoint that was not trained here."""
METRICS: tuple[Metric, ...] = ("pass_rate", "mean_score", "win_rate")
Verdicts = dict[Seed, list[Verdict]]


@dataclass(frozen=True)
class Outcomes:
    """One metric of one recipe cell: ``values``, (seeds, instructions) in [0, 1], NaN where a verdict is missing."""

    seeds: tuple[Seed, ...]
    prompts: tuple[str, ...]
    parts: tuple[str, ...]
    values: Array

    def on(self, part: str | None) -> Outcomes:
        """The instructions of one part of the benchmark; all for None."""
        if part is None:
            return self
        keep = np.array([name == part for name in self.parts], dtype=bool)
        chosen = [index for index, kept in enumerate(keep) if kept]
        return Outcomes(self.seeds, tuple(self.prompts[i] for i in chosen), (part,) * len(chosen), self.values[:, keep])


def gather(verdicts: Verdicts, metric: Metric) -> Outcomes:
    """Verdicts per seed → outcomes on the instructions that any seed was asked, in the order of their ids."""
    tables = {seed: table.read(lines) for seed, lines in verdicts.items()}
    parts: dict[str, str] = {}
    for rows in tables.values():
        parts |= dict(zip(rows.prompt_ids, map(str, rows.part), strict=True))
    prompts = sorted(parts)
    position = {prompt: index for index, prompt in enumerate(prompts)}
    values = np.full((len(tables), len(prompts)), np.nan)
    for line, rows in enumerate(tables.values()):
        values[line, [position[prompt] for prompt in rows.prompt_ids]] = outcomes(rows, metric)
    return Outcomes(tuple(tables), tuple(prompts), tuple(parts[prompt] for prompt in prompts), values)


def answered(verdicts: Verdicts) -> list[Metric]:
    """The metrics that these verdicts hold at least one value of."""
    tables = [table.read(lines) for lines in verdicts.values()]
    return [metric for metric in METRICS if any(_holds(rows, metric) for rows in tables)]


def _holds(rows: Table, metric: Metric) -> bool:
    return bool((~np.isnan(outcomes(rows, metric))).any())


def complete(values: Array) -> tuple[Array, int]:
    """(instructions that every seed has a verdict on, how many have not)."""
    whole = ~np.isnan(values).any(axis=0)
    return values[:, whole], int((~whole).sum())
