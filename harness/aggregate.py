"""Verdicts → estimates: one row's figures, overall, by part and by family; and rows against each other, paired.

A missing verdict is counted and left out; it never becomes a number.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from harness.errors import ConfigError
from harness.stats import bootstrap, paired
from harness.stats.length_control import length_controlled
from harness.stats.win_rate import wilson, win_rate

Verdict = dict[str, Any]
NO_WIN_RATE = (
    "win_rate win_rate_low win_rate_high standard_error n_wins n_wins_base n_draws discrete_win_rate "
    "lc_win_rate lc_win_rate_low lc_win_rate_high"
).split()
NO_SCORE = "pass_rate pass_rate_low pass_rate_high mean_score mean_score_low mean_score_high".split()


def estimate(verdicts: list[Verdict], *, seed: int = 0, draws: int = 2000) -> dict[str, Any]:
    """One row's estimates; rates 0 to 100, lengths in characters.

    Raises ConfigError for no verdicts or two verdicts on one prompt.
    """
    _refuse_duplicates(verdicts)
    return {
        **_core(verdicts, seed, draws),
        "by_split": {part: _core(group, seed, draws) for part, group in _grouped(verdicts, "part").items()},
        "by_family": {family: _brief(group) for family, group in _grouped(verdicts, "family").items()},
        "mean_length": _mean(verdicts, "length_model"),
        "mean_completion_tokens": _mean(verdicts, "completion_tokens"),
        "truncation_rate": 100 * _mean(verdicts, "truncated"),
        "empty_rate": 100 * _mean(verdicts, "empty"),
    }


def _refuse_duplicates(verdicts: list[Verdict]) -> None:
    if not verdicts:
        raise ConfigError("there are no verdicts to aggregate.")
    seen: set[str] = set()
    for verdict in verdicts:
        if verdict["prompt_id"] in seen:
            raise ConfigError(f'prompt "{verdict["prompt_id"]}" has two verdicts of {verdict["model"]}.')
        seen.add(verdict["prompt_id"])


def _grouped(verdicts: list[Verdict], name: str) -> dict[str, list[Verdict]]:
    groups: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict[name]].append(verdict)
    return dict(groups)


def _mean(verdicts: list[Verdict], name: str) -> float:
    return float(np.mean([verdict[name] for verdict in verdicts]))


def _core(verdicts: list[Verdict], seed: int, draws: int) -> dict[str, Any]:
    judged = [verdict for verdict in verdicts if verdict["preference"] is not None]
    scored = [verdict for verdict in verdicts if verdict["score"] is not None]
    counts = {"n": len(judged), "n_missing": len(verdicts) - len(judged)}
    return {**counts, **_preferences(judged, seed, draws), **_scores(scored, seed, draws)}


def _preferences(judged: list[Verdict], seed: int, draws: int) -> dict[str, Any]:
    if not judged:
        return {**dict.fromkeys(NO_WIN_RATE), "lc_reason": "no verdicts"}
    preferences = np.array([verdict["preference"] for verdict in judged], dtype=np.float64)
    low, high = bootstrap.mean_interval(preferences, draws=draws, seed=seed)
    lengths = (np.array([v[name] for v in judged], dtype=np.float64) for name in ("length_model", "length_baseline"))
    controlled = length_controlled(preferences, *lengths, draws=draws, seed=seed)
    return {
        **win_rate(preferences),
        "win_rate_low": 100 * low,
        "win_rate_high": 100 * high,
        "lc_win_rate": controlled.value,
        "lc_win_rate_low": controlled.low,
        "lc_win_rate_high": controlled.high,
        "lc_reason": controlled.reason,
    }


def _scores(scored: list[Verdict], seed: int, draws: int) -> dict[str, Any]:
    if not scored:
        return dict.fromkeys(NO_SCORE)
    scores = np.array([verdict["score"] for verdict in scored], dtype=np.float64)
    passed = int((scores == 1).sum())
    pass_low, pass_high = wilson(passed, len(scores))
    low, high = bootstrap.mean_interval(scores, draws=draws, seed=seed)
    return {
        "pass_rate": 100 * passed / len(scores),
        "pass_rate_low": pass_low,
        "pass_rate_high": pass_high,
        "mean_score": 100 * float(scores.mean()),
        "mean_score_low": 100 * low,
        "mean_score_high": 100 * high,
    }


def _brief(verdicts: list[Verdict]) -> dict[str, Any]:
    scores = [verdict["score"] for verdict in verdicts if verdict["score"] is not None]
    if not scores:
        return {"n": 0, "pass_rate": None, "mean_score": None}
    passed = sum(score == 1 for score in scores)
    return {
        "n": len(scores),
        "pass_rate": 100 * passed / len(scores),
        "mean_score": 100 * float(np.mean(scores)),
    }


def compare(verdicts_by_row: dict[str, list[Verdict]], *, metric: str = "score", seed: int = 0) -> dict[str, Any]:
    """Rows against each other, prompt by prompt, on ``score`` or ``preference`` (see `paired.compare_all`)."""
    values = {
        row: {v["prompt_id"]: float(v[metric]) for v in verdicts if v[metric] is not None}
        for row, verdicts in verdicts_by_row.items()
    }
    return {"metric": metric, **paired.compare_all(values, seed=seed)}
