"""One row's verdicts → its estimates: what ``estimates.json`` and a line of the board say.

Rates are 0 to 100, intervals 95 %. A missing verdict is counted in ``n_missing`` and enters no rate.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from harness.aggregate import table
from harness.aggregate.table import Table, Verdict
from harness.stats import bootstrap, length_control
from harness.stats.intervals import Interval, rate_interval
from harness.stats.win_rate import win_rate

Array = np.ndarray
Estimates = dict[str, Any]

DEFINITION = "the baseline against itself: one half by definition"


def estimate(
    verdicts: list[Verdict],
    *,
    seed: int = 0,
    draws: int = bootstrap.DRAWS,
    whole_only: bool = False,
    length_controlled: bool = True,
) -> Estimates:
    """All estimates of one row; a figure that its verdicts cannot give is None.

    Beside the figures over all prompts there are, unless ``whole_only``, the same core figures per part (``by_split``)
    and per task family (``by_family``); without ``length_controlled`` the figures at equal length are left out. The
    order of ``verdicts`` does not matter; the same seed gives the same intervals. A prompt judged in both orders
    counts once, with the mean of both. Raises IntegrityError for a prompt with two verdicts in one order or a value
    outside its range.
    """
    whole = table.read(verdicts)
    return {
        **_core(whole, seed, draws, length_controlled),
        "mean_length": _mean(whole.len_model),
        "mean_length_baseline": _mean(whole.len_baseline),
        "mean_completion_tokens": _mean(whole.completion_tokens),
        "truncation_rate": _percent(whole.truncated),
        "empty_rate": _percent(whole.empty),
        **(_by_parts(whole, seed, draws) if not whole_only else {}),
    }


def _by_parts(whole: Table, seed: int, draws: int) -> Estimates:
    return {
        "by_split": {name: _core(part, seed, draws) for name, part in _groups(whole, whole.part)},
        "by_family": {name: _family(part, seed, draws) for name, part in _groups(whole, whole.family)},
    }


def _core(rows: Table, seed: int, draws: int, length_controlled: bool = True) -> Estimates:
    summary = win_rate(rows.preference)
    preference = _preference_interval(rows, seed, draws)
    return {
        **asdict(summary),
        "win_rate_low": preference.low,
        "win_rate_high": preference.high,
        **(_length_controlled(rows, seed, draws) if length_controlled else {}),
        **_scores(rows, seed, draws),
        **_positions(rows),
        "interval_note": preference.note,
    }


def _positions(rows: Table) -> Estimates:
    """What orders say, where the judge's order is known: percent of prompts on which all orders agree (None with one
    order), and mean preference for the output shown first, 50 for a judge without position bias.
    """
    if np.isnan(rows.first_shown).all():
        return {}
    return {"position_consistency": _percent(rows.consistent), "first_position_rate": _percent(rows.first_shown)}


def _preference_interval(rows: Table, seed: int, draws: int) -> Interval:
    if rows.is_baseline:
        return Interval(50.0, 50.0, DEFINITION)
    return rate_interval(_answered(rows.preference), seed=seed, draws=draws)


def _length_controlled(rows: Table, seed: int, draws: int) -> Estimates:
    keys = ("lc_win_rate", "lc_win_rate_low", "lc_win_rate_high", "lc_reason", "lc_interval_note")
    if rows.is_baseline:
        return dict(zip(keys, (50.0, 50.0, 50.0, None, DEFINITION), strict=True))
    known = ~np.isnan(rows.preference + rows.len_model + rows.len_baseline)
    if known.sum() < (~np.isnan(rows.preference)).sum():
        return dict(zip(keys, (None, None, None, "lengths are missing", None), strict=True))
    fitted = length_control.length_controlled(
        rows.preference[known], rows.len_model[known], rows.len_baseline[known], draws=draws, seed=seed
    )
    return dict(zip(keys, (fitted.win_rate, fitted.low, fitted.high, fitted.reason, fitted.note), strict=True))


def _scores(rows: Table, seed: int, draws: int) -> Estimates:
    scores = _answered(rows.score)
    passes = (scores == 1.0).astype(np.float64)
    pass_interval = rate_interval(passes, seed=seed, draws=draws)
    mean_interval = rate_interval(scores, seed=seed, draws=draws)
    return {
        "n_scored": len(scores),
        "pass_rate": _percent(passes),
        "pass_rate_low": pass_interval.low,
        "pass_rate_high": pass_interval.high,
        "mean_score": _percent(scores),
        "mean_score_low": mean_interval.low,
        "mean_score_high": mean_interval.high,
    }


def _family(rows: Table, seed: int, draws: int) -> Estimates:
    scores = _scores(rows, seed, draws)
    kept = ("n_scored", "pass_rate", "pass_rate_low", "pass_rate_high", "mean_score")
    summary = win_rate(rows.preference)
    counts = {"n": summary.n, "n_missing": summary.n_missing, "win_rate": summary.win_rate}
    return counts | {key: scores[key] for key in kept} | {"parts": sorted(set(rows.part))}


def _groups(rows: Table, labels: Array) -> list[tuple[str, Table]]:
    return [(name, rows.where(labels == name)) for name in sorted(set(labels)) if name]


def _answered(values: Array) -> Array:
    answered: Array = values[~np.isnan(values)]
    return answered


def _mean(values: Array) -> float | None:
    answered = _answered(values)
    return float(answered.mean()) if len(answered) else None


def _percent(values: Array) -> float | None:
    share = _mean(values)
    return None if share is None else 100.0 * share
