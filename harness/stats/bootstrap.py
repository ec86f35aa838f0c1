"""Percentile bootstrap over instructions, from a seeded generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
BLOCK = 2_000_000  # resampled values at a time


def resample_counts(n: int, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, n): how often each instruction is drawn in each bootstrap sample of size n."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1 / n), size=draws)


def mean_interval(values: Values, *, draws: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``values`` (n,), one per instruction, in the units of ``values``."""
    n = len(values)
    per_block = max(1, BLOCK // n)
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(0, n, size=(min(per_block, draws - start), n))].mean(axis=1)
        for start in range(0, draws, per_block)
    ]
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return float(low), float(high)
