"""Closed-form 95 % intervals for counted outcomes, one per instruction: where resampling has too little to
draw from.
"""

from __future__ import annotations

import math

Z_95 = 1.959963984540054


def wilson(successes: float, n: float, z: float = Z_95) -> tuple[float, float]:
    """(low, high) of a share, in [0, 1], from ``successes`` out of ``n`` > 0 outcomes (Wilson 1927)."""
    share = successes / n
    denominator = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # at 0 and n successes the ends are exact, but rounding can leave 1e-17 on the wrong side
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return low, 1.0 if successes == n else min(1.0, centre + half)


def agresti_min(wins: int, losses: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """(low, high) of (wins + ties / 2) / n, in [0, 1], from ``wins``, ``losses`` and ties among ``n`` > 0
    outcomes.

    Wins minus losses over n is a difference of matched proportions. Agresti and Min (2005) add half an
    outcome to each cell of the 2 x 2 table (wins, losses and both kinds of tie) and take Wald's interval;
    so it has a width even when all are ties. The estimate itself is kept inside.
    """
    total = n + 2
    won, lost = (wins + 0.5) / total, (losses + 0.5) / total
    margin = won - lost
    half = z * math.sqrt((won + lost - margin * margin) / total)
    estimate = 0.5 * (1 + (wins - losses) / n)
    low, high = 0.5 * (1 + margin - half), 0.5 * (1 + margin + half)
    return max(0.0, min(low, estimate)), min(1.0, max(high, estimate))


def score_interval(mean: float, variance: float, n: int, *, rare: int, z: float = Z_95) -> tuple[float, float]:
    """(low, high) of a mean of ``n`` soft outcomes in [0, 1], near 0 or 1, where resampling finds too few of the rare
    side.

    Wilson's interval at the effective sample size n mean (1 - mean) / variance, as for a design effect (Kish 1965):
    ``variance`` (ddof 1) of soft outcomes is below that of hard ones. ``rare`` outcomes lie on the rare side of one
    half or on it; with fewer than two the sample cannot show the variance, and hard outcomes' is taken.
    """
    bernoulli = mean * (1 - mean)
    effective = n * bernoulli / variance if variance > 0 else float(n)
    if rare < 2:
        effective = min(effective, float(n))
    low, high = wilson(mean * effective, effective, z)
    return min(low, mean), max(high, mean)


def adjusted_difference(differences_sum: float, squares_sum: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """(low, high) of the mean of ``n`` paired differences in [-1, 1], few of which are not near 0.

    Agresti and Min's interval written with sums, which also takes soft differences: for wins, ties and losses the
    sum of squares is wins plus losses.
    """
    total = n + 2
    centre = differences_sum / total
    half = z * math.sqrt(max(0.0, (squares_sum + 1) / total - centre * centre) / total)
    estimate = differences_sum / n
    return max(-1.0, min(centre - half, estimate)), min(1.0, max(centre + half, estimate))
