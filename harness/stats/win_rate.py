"""Preferences → win rate, standard error and counts, with AlpacaEval's meaning of each word."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class WinRate:
    """Rates on 0 to 100; None where there is no verdict, and no standard error for a single one."""

    n: int
    n_missing: int
    win_rate: float | None
    standard_error: float | None
    n_wins: int
    n_wins_base: int
    n_draws: int
    discrete_win_rate: float | None


def win_rate(preferences: Array) -> WinRate:
    """Summarise preferences for the model, shape (n,), in [0, 1]; NaN marks a missing verdict, which is
    counted only.

    win_rate = 100 mean(p); standard_error = 100 std(p, ddof 1) / sqrt(n); discrete_win_rate =
    100 (wins + draws / 2) / n (AlpacaEval 2, `alpaca_eval.metrics.get_winrate`).
    Raises ValueError for a preference outside [0, 1].
    """
    answered = check_unit_interval(preferences)
    n = len(answered)
    # Counted on AlpacaEval's scale, 1 + p, so that the last bit of p cannot make a draw of theirs a win of
    # ours.
    on_their_scale = 1.0 + answered
    wins = int((on_their_scale > 1.5).sum())
    losses = int((on_their_scale < 1.5).sum())
    draws = n - wins - losses
    return WinRate(
        n=n,
        n_missing=len(preferences) - n,
        win_rate=100.0 * float(answered.mean()) if n else None,
        standard_error=100.0 * standard_error(answered) if n > 1 else None,
        n_wins=wins,
        n_wins_base=losses,
        n_draws=draws,
        discrete_win_rate=100.0 * (wins + draws / 2) / n if n else None,
    )


def standard_error(values: Array) -> float:
    """Standard error of the mean of ``values``, shape (n,), n > 1, with ddof 1."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def check_unit_interval(values: Array) -> Array:
    """The values that are not NaN; raises ValueError if one of them is outside [0, 1]."""
    answered: Array = values[~np.isnan(values)]
    if ((answered < 0) | (answered > 1)).any():
        worst = answered[np.argmax(np.abs(answered - 0.5))]
        raise ValueError(f"{worst} is outside 0 to 1")
    return answered
