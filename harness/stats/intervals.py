"""The interval of a mean of per-instruction outcomes in [0, 1]: which method, and its name beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats import bootstrap
from harness.stats.closed_form import agresti_min, wilson

Array = np.ndarray

FEW = 10
"""With fewer verdicts than this off the most common one the percentile bootstrap covers too little: in
simulations 77 to 93 % with 75 to 120 instructions, where Agresti and Min's interval covers 94 % or more."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval on 0 to 100, None where there is none, and in words how it was made."""

    low: float | None
    high: float | None
    note: str


def rate_interval(values: Array, *, seed: int = 0, draws: int = bootstrap.DRAWS) -> Interval:
    """Interval of 100 mean(values), one value in [0, 1] per instruction, shape (n,).

    Wilson's where every outcome is 0 or 1; Agresti and Min's for wins, ties and losses of which nearly all
    are alike; otherwise the percentile bootstrap over instructions. Fewer than two values have none, nor
    have equal soft values: resampling them says nothing about what a new instruction would bring.
    """
    n = len(values)
    if n < 2:
        return Interval(None, None, "fewer than two verdicts: no interval")
    wins, losses, ties = (int((values == value).sum()) for value in (1.0, 0.0, 0.5))
    if wins + losses == n:
        return _interval(wilson(wins, n), f"Wilson interval over {n} instructions")
    if wins + losses + ties == n and n - max(wins, losses, ties) < FEW:
        return _interval(agresti_min(wins, losses, n), f"Agresti-Min interval over {n} instructions")
    if np.ptp(values) == 0:
        return Interval(None, None, f"all {n} verdicts are equal: no interval")
    found = bootstrap.mean_interval(values, draws=draws, seed=seed)
    return _interval(found, f"percentile bootstrap over {n} instructions, {draws} draws, seed {seed}")


def difference_interval(differences: Array, *, seed: int = 0, draws: int = bootstrap.DRAWS) -> Interval:
    """Interval of 100 mean(differences), paired differences in [-1, 1], shape (n,), by the same choice of
    methods.
    """
    found = rate_interval((1.0 + differences) / 2, seed=seed, draws=draws)
    if found.low is None or found.high is None:
        return found
    return Interval(2 * found.low - 100, 2 * found.high - 100, found.note)


def _interval(shares: tuple[float, float], note: str) -> Interval:
    return Interval(100 * shares[0], 100 * shares[1], note)
