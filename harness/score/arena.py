"""A row of Arena-Hard: the weighted win rate over games, resampled by question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.adapters.verdict_files import BATTLES, Format
from harness.protocols.order import first_shown_preference
from harness.score import arena_style
from harness.score.request import Request
from harness.stats.clustered import clustered_mean

Line = dict[str, Any]
Estimates = dict[str, Any]


def estimator(request: Request, kind: Format, models: dict[str, list[Line]]) -> Callable[[list[Line]], Estimates]:
    """A function from one model's lines to its estimates; style is controlled for in one fit of all models."""
    controlled = arena_style.control(request, models)
    return lambda lines: _estimate(lines, request, kind, controlled[lines[0]["model"]])


def _estimate(lines: list[Line], request: Request, kind: Format, controlled: Estimates) -> Estimates:
    """With every model against the one baseline the Bradley-Terry fit is this weighted mean; a tie is one half."""
    lines = _whole_questions(lines) if request.benchmark == "arena_hard_v2" else lines
    judged = [line for line in lines if line["preference"] is not None]
    counts = _counts(judged)
    if not judged:
        return _nothing(counts)
    values = np.array([line["preference"] for line in judged])
    weight = np.array([float(line["weight"]) for line in judged])
    questions = np.array([line["prompt_id"] for line in judged])
    found = clustered_mean(values, weight, questions, draws=request.draws, seed=request.seed)
    return {
        "n": found.n_clusters,
        "win_rate": 100 * found.mean,
        "win_rate_low": _percent(found.low),
        "win_rate_high": _percent(found.high),
        "standard_error": _percent(found.standard_error),
        **counts,
        **controlled,
        **_positions(judged),
        "notes": [
            f"percentile bootstrap over {found.n_clusters} questions, {request.draws} draws, seed {request.seed}"
            if found.low is not None
            else "fewer than two questions: no interval",
            *(["battles are taken as they are: repeated rows cannot be told from weights"] if kind is BATTLES else []),
        ],
    }


def _whole_questions(lines: list[Line]) -> list[Line]:
    """v2 leaves out both games of a question when one has no verdict."""
    broken = {line["prompt_id"] for line in lines if line["preference"] is None}
    return [line | {"preference": None} if line["prompt_id"] in broken else line for line in lines]


def _counts(judged: list[Line]) -> Estimates:
    """Of games, each once; of rows where only battles are stored."""
    preferences = np.array([line["preference"] for line in judged])
    wins, losses = int((preferences > 0.5).sum()), int((preferences < 0.5).sum())
    draws = len(judged) - wins - losses
    return {
        "n_games": len(judged),
        "n_wins": wins,
        "n_wins_base": losses,
        "n_draws": draws,
        "discrete_win_rate": 100 * (wins + draws / 2) / len(judged) if judged else None,
    }


def _nothing(counts: Estimates) -> Estimates:
    rates = dict.fromkeys(("win_rate", "win_rate_low", "win_rate_high", "standard_error"))
    return {"n": 0, **rates, **counts, **arena_style.without("no verdict at all"), "notes": []}


def _positions(judged: list[Line]) -> Estimates:
    first = [value for line in judged if (value := first_shown_preference(line)) is not None]
    if not first:
        return {}
    sides: dict[str, list[float]] = {}
    for line in judged:
        sides.setdefault(line["prompt_id"], []).append(line["preference"])
    both = [values for values in sides.values() if len(values) == 2]
    same = [np.sign(one - 0.5) == np.sign(other - 0.5) for one, other in both]
    return {
        "position_consistency": 100 * float(np.mean(same)) if same else None,
        "first_position_rate": 100 * float(np.mean(first)),
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
