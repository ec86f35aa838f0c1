"""The interval of a mean of per-instruction outcomes in [0, 1]: which method, and its name beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats import bootstrap
from harness.stats.closed_form import adjusted_difference, agresti_min, score_interval, wilson

Array = np.ndarray

FEW = 10
"""With fewer verdicts than this off the most common one the percentile bootstrap covers too little: in
simulations 77 to 93 % with 75 to 120 instructions, where Agresti and Min's interval covers 94 % or more."""

EDGE = 20
"""With fewer expected outcomes than this on the rare side, the bootstrap of soft verdicts covers too little: 86 to
93 % at 120 instructions and a rate of 0.02 (benchmarks/results/coverage.json)."""

CONSERVATIVE = "covers 96 to 99 % in simulations"
"""What is printed beside Agresti and Min's interval of a paired difference, where so few prompts differ."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval on 0 to 100, None where there is none, and in words how it was made."""

    low: float | None
    high: float | None
    note: str


def rate_interval(values: Array, *, seed: int = 0, draws: int = bootstrap.DRAWS) -> Interval:
    """Interval of 100 mean(values), one value in [0, 1] per instruction, shape (n,).

    Wilson's where every outcome is 0 or 1; where nearly all wins, ties and losses are alike, Agresti and Min's for
    ties and the score interval for wins or losses; the score interval for soft verdicts near 0 or 100; otherwise the
    percentile bootstrap over instructions. Fewer than two values have none, nor have equal soft values: resampling
    them says nothing about what a new instruction would bring.
    """
    n = len(values)
    if n < 2:
        return Interval(None, None, "fewer than two verdicts: no interval")
    wins, losses, ties = (int((values == value).sum()) for value in (1.0, 0.0, 0.5))
    if wins + losses == n:
        return _interval(wilson(wins, n), f"Wilson interval over {n} instructions")
    hard = wins + losses + ties == n
    nearly_alike = hard and n - max(wins, losses, ties) < FEW
    if nearly_alike and ties > max(wins, losses):
        return _interval(agresti_min(wins, losses, n), f"Agresti-Min interval over {n} instructions")
    if np.ptp(values) == 0:
        return Interval(None, None, f"all {n} verdicts are equal: no interval")
    if nearly_alike or (not hard and n * min(values.mean(), 1 - values.mean()) < EDGE):
        return _interval(_score(values), f"score interval (Wilson, effective sample size) over {n} instructions")
    found = bootstrap.mean_interval(values, draws=draws, seed=seed)
    return _interval(found, f"percentile bootstrap over {n} instructions, {draws} draws, seed {seed}")


def _score(values: Array) -> tuple[float, float]:
    rare = min(int((values >= 0.5).sum()), int((values <= 0.5).sum()))
    return score_interval(float(values.mean()), float(values.var(ddof=1)), len(values), rare=rare)


def difference_interval(differences: Array, *, seed: int = 0, draws: int = bootstrap.DRAWS) -> Interval:
    """Interval of 100 mean(differences), paired differences in [-1, 1], shape (n,).

    Agresti and Min's where the squares sum to so little that few prompts can differ; otherwise as `rate_interval`
    chooses, on the other scale.
    """
    n, squares = len(differences), float((differences**2).sum())
    if n >= 2 and squares < FEW:
        low, high = adjusted_difference(float(differences.sum()), squares, n)
        return Interval(100 * low, 100 * high, f"Agresti-Min interval over {n} instructions, {CONSERVATIVE}")
    found = rate_interval((1.0 + differences) / 2, seed=seed, draws=draws)
    if found.low is None or found.high is None:
        return found
    return Interval(2 * found.low - 100, 2 * found.high - 100, found.note)


def _interval(shares: tuple[float, float], note: str) -> Interval:
    return Interval(100 * shares[0], 100 * shares[1], note)
