"""Checkpoints of one recipe cell that differ in their training seed → one estimate of the recipe; and all recipes of a
board against each other.

Seeds and instructions are crossed (`harness.stats.crossed`): a new seed and a new instruction would both bring
something else, so both are in the interval.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from harness.aggregate.comparison import Metric
from harness.aggregate.differences import Difference, difference
from harness.aggregate.outcomes import Outcomes, Verdicts, answered, complete, gather
from harness.stats import paired
from harness.stats.crossed import COVERAGE, crossed_mean
from harness.stats.intervals import rate_interval

Array = np.ndarray
ONE_SEED = "this checkpoint only: one seed says nothing about the next"


def estimate(verdicts: Verdicts, *, seed: int = 0) -> dict[str, Any]:
    """One recipe cell over its seeds: each metric with its 95 % interval, on all instructions and by part."""
    found = {metric: gather(verdicts, metric) for metric in answered(verdicts)}
    parts = sorted({part for cell in found.values() for part in cell.parts if part})
    return {
        **_figures(found, None, seed),
        "by_split": {part: _figures(found, part, seed) for part in parts},
        "interval_note": _note(len(verdicts)),
    }


def _note(seeds: int) -> str:
    if seeds < 2:
        return ONE_SEED
    return f"two-way random effects over {seeds} seeds and the instructions, Satterthwaite's t; {COVERAGE}"


def _figures(found: dict[Metric, Outcomes], part: str | None, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for metric, cell in found.items():
        values, left_out = complete(cell.on(part).values)
        figures["n"] = max(values.shape[1], figures.get("n", 0))
        figures["n_left_out"] = max(left_out, figures.get("n_left_out", 0))
        figures |= _rate(metric, values, seed)
    return figures


def _rate(metric: Metric, values: Array, seed: int) -> dict[str, Any]:
    mean = 100 * float(values.mean()) if values.size else None
    if len(values) < 2 or values.shape[1] < 2:
        interval = rate_interval(values[0], seed=seed) if len(values) else None
        low, high = (interval.low, interval.high) if interval else (None, None)
        return {metric: mean, f"{metric}_low": low, f"{metric}_high": high, f"{metric}_standard_error": None}
    found = crossed_mean(values)
    return {
        metric: mean,
        f"{metric}_low": 100 * max(0.0, found.low),
        f"{metric}_high": 100 * min(1.0, found.high),
        f"{metric}_standard_error": 100 * found.standard_error,
    }


def compare(cells: dict[str, Outcomes], metric: Metric, *, seed: int = 0) -> dict[str, Any]:
    """Every pair of recipe cells over seeds and instructions: ``pairs``, Holm's correction over them, and ``ranks``.

    A pair with fewer than two shared seeds has no p-value: it cannot tell the recipes apart.
    """
    index = list(combinations(cells, 2))
    found = [difference(cells[a], cells[b], seed=seed) for a, b in index]
    tested = [k for k, item in enumerate(found) if item.degrees is not None]
    adjusted = dict(zip(tested, paired.holm(np.array([found[k].p for k in tested], dtype=float)), strict=True))
    pairs = [_pair(a, b, found[k], adjusted.get(k)) for k, (a, b) in enumerate(index)]
    return {"metric": metric, "ranks": _ranks(cells, pairs), "pairs": pairs, "alpha": paired.ALPHA}


def _pair(a: str, b: str, item: Difference, adjusted: float | None) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "n": item.n,
        "seeds": len(item.seeds),
        "difference": item.effect,
        "difference_low": item.low,
        "difference_high": item.high,
        "p": None if adjusted is None else item.p,
        "p_holm": None if adjusted is None else float(adjusted),
        "significant": adjusted is not None and bool(adjusted < paired.ALPHA),
    }


def _ranks(cells: dict[str, Outcomes], pairs: list[dict[str, Any]]) -> dict[str, int | None]:
    better = dict.fromkeys(cells, 0)
    for pair in pairs:
        if pair["significant"]:
            better[pair["b"] if pair["difference"] > 0 else pair["a"]] += 1
    return {name: 1 + better[name] if (~np.isnan(cell.values)).any() else None for name, cell in cells.items()}
