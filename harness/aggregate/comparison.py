"""All rows of a board against each other, paired by prompt: differences, significance, ranks with ties."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np

from harness.aggregate import table
from harness.aggregate.table import Table, Verdict
from harness.stats import bootstrap, paired
from harness.stats.intervals import difference_interval

Array = np.ndarray
Metric = Literal["pass_rate", "mean_score", "win_rate"]


def compare(
    verdicts_by_row: dict[str, list[Verdict]],
    metric: Metric | None = None,
    *,
    seed: int = 0,
    draws: int = bootstrap.DRAWS,
) -> dict[str, Any]:
    """Every pair of rows on the prompts that both answered.

    Returns ``metric``; ``ranks`` {row: 1 + number of rows significantly better}; ``pairs``, one entry per
    pair with ``a, b, n, difference`` (a - b, points of 0 to 100) with a 95 % bootstrap interval, ``p`` of
    the sign-flip test, ``p_holm`` (Holm over all pairs) and ``significant``; and the
    ``smallest_detectable_difference`` of a typical pair. The metric is the pass rate where verdicts have
    scores, else the win rate. A row without any value has rank None.
    """
    tables = {name: table.read(verdicts, name) for name, verdicts in verdicts_by_row.items()}
    metric = metric or _default_metric(tables)
    names = list(tables)
    values = _matrix(tables, metric)
    pairs = _pairs(names, values, seed, draws)
    return {
        "metric": metric,
        "ranks": _ranks(names, values, pairs),
        "pairs": pairs,
        "smallest_detectable_difference": _detectable(pairs),
        "alpha": paired.ALPHA,
        "note": "rank = 1 + number of rows significantly better: sign-flip test on paired prompts, "
        f"Holm over all {len(pairs)} pairs, alpha {paired.ALPHA}",
    }


def _default_metric(tables: dict[str, Table]) -> Metric:
    scored = any((~np.isnan(rows.score)).any() for rows in tables.values())
    return "pass_rate" if scored else "win_rate"


def outcomes(rows: Table, metric: Metric) -> Array:
    """One metric per prompt, in [0, 1], NaN where its verdict is missing; shape (n_prompts,)."""
    if metric == "win_rate":
        return rows.preference
    if metric == "mean_score":
        return rows.score
    return np.where(np.isnan(rows.score), np.nan, (rows.score == 1.0).astype(np.float64))


def _matrix(tables: dict[str, Table], metric: Metric) -> Array:
    """Outcomes, (prompts of any row, rows), NaN where a row has none."""
    prompts = sorted({prompt for rows in tables.values() for prompt in rows.prompt_ids})
    position = {prompt: index for index, prompt in enumerate(prompts)}
    values = np.full((len(prompts), len(tables)), np.nan)
    for column, rows in enumerate(tables.values()):
        values[[position[prompt] for prompt in rows.prompt_ids], column] = outcomes(rows, metric)
    return values


def _pairs(names: list[str], values: Array, seed: int, draws: int) -> list[dict[str, Any]]:
    index = list(combinations(range(len(names)), 2))
    if not index:
        return []
    differences = np.stack([values[:, a] - values[:, b] for a, b in index], axis=1)
    p_values = paired.sign_flip_test(np.nan_to_num(differences), seed=seed)
    adjusted = paired.holm(p_values)
    return [
        {
            "a": names[a],
            "b": names[b],
            **_difference(differences[:, k], seed, draws),
            "p": float(p_values[k]),
            "p_holm": float(adjusted[k]),
            "significant": bool(adjusted[k] < paired.ALPHA),
        }
        for k, (a, b) in enumerate(index)
    ]


def _difference(column: Array, seed: int, draws: int) -> dict[str, Any]:
    """Mean difference over the prompts that both rows answered, its interval and deviation, 0 to 100."""
    shared = column[~np.isnan(column)]
    interval = difference_interval(shared, seed=seed, draws=draws)
    return {
        "n": len(shared),
        "difference": 100 * float(shared.mean()) if len(shared) else None,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "deviation": 100 * float(shared.std(ddof=1)) if len(shared) > 1 else None,
    }


def _ranks(names: list[str], values: Array, pairs: list[dict[str, Any]]) -> dict[str, int | None]:
    better = dict.fromkeys(names, 0)
    for pair in pairs:
        if pair["significant"]:
            better[pair["b"] if pair["difference"] > 0 else pair["a"]] += 1
    has_values = (~np.isnan(values)).any(0)
    return {name: 1 + better[name] if has_values[k] else None for k, name in enumerate(names)}


def _detectable(pairs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """For the median pair: points of 0 to 100, with the deviation and the number of prompts it assumes."""
    measured = [pair for pair in pairs if pair["deviation"]]
    if not measured:
        return None
    deviation = float(np.median([pair["deviation"] for pair in measured]))
    n = int(np.median([pair["n"] for pair in measured]))
    return {
        "points": paired.smallest_detectable_difference(deviation, n),
        "assumed_deviation": deviation,
        "n": n,
        "power": 0.8,
    }
