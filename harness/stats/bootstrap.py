"""Intervals by resampling whole instructions (clusters), never single verdicts: those of one instruction
are dependent.

One draw is a vector of weights: how often each instruction was drawn. All draws are one matrix, so every
statistic of means is a matrix product.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Array = np.ndarray

DRAWS = 2000
LEVEL = 0.95


@lru_cache(maxsize=4)
def weights(n_clusters: int, draws: int = DRAWS, seed: int = 0) -> Array:
    """How often each of ``n_clusters`` instructions appears in each draw: (draws, n_clusters), read-only.

    Every row sums to ``n_clusters``. Statistics of the same instructions share their draws.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=draws).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def percentile_interval(statistics: Array, level: float = LEVEL) -> tuple[float, float]:
    """The central ``level`` of bootstrap statistics, shape (draws,)."""
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_interval(
    values: Array, clusters: Array | None = None, *, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Percentile interval of the mean of ``values``, shape (n,), resampling instructions.

    ``clusters``, shape (n,), names each value's instruction; None means one value each. Same seed, same
    interval.
    """
    sums, sizes = cluster_sums(values, clusters)
    drawn = weights(len(sums), draws, seed)
    return percentile_interval((drawn @ sums) / (drawn @ sizes), level)


def cluster_sums(values: Array, clusters: Array | None = None) -> tuple[Array, Array]:
    """(sum of values, number of values) per instruction, both (n_clusters,)."""
    if clusters is None:
        return values, np.ones(len(values))
    _, index = np.unique(clusters, return_inverse=True)
    return np.bincount(index, weights=values), np.bincount(index).astype(np.float64)
