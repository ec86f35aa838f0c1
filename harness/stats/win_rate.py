"""Win rate as AlpacaEval defines it, and Wilson's interval for a share of successes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Z95 = 1.959963984540054


def win_rate(preferences: Values) -> dict[str, Any]:
    """Win rate in percent with its standard error and counts; ``preferences`` (n,) in [0, 1], none missing.

    A win is a preference above one half, a draw exactly one half. The standard error is None for fewer than two.
    Raises ValueError for an empty or out-of-range input.
    """
    n = len(preferences)
    if n == 0 or not ((preferences >= 0) & (preferences <= 1)).all():
        raise ValueError("preferences must be a non-empty array of numbers in [0, 1]")
    wins, draws = int((preferences > 0.5).sum()), int((preferences == 0.5).sum())
    return {
        "win_rate": 100 * float(preferences.mean()),
        "standard_error": 100 * float(preferences.std(ddof=1)) / math.sqrt(n) if n > 1 else None,
        "n_wins": wins,
        "n_wins_base": n - wins - draws,
        "n_draws": draws,
        "discrete_win_rate": 100 * (wins + draws / 2) / n,
    }


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, in percent (Wilson 1927); one binary outcome per instruction."""
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)
