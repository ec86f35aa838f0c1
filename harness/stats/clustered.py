"""A weighted mean whose values come in clusters: games and copies of one question are dependent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.stats import bootstrap

Array = np.ndarray

FEWEST = 2
"""Clusters below which there is no interval."""


@dataclass(frozen=True)
class ClusteredMean:
    """A mean on the scale of its values; without an interval for fewer than two clusters."""

    mean: float
    standard_error: float | None
    low: float | None
    high: float | None
    n_clusters: int


def clustered_mean(
    values: Array, weight: Array, clusters: Array, *, draws: int = bootstrap.DRAWS, seed: int = 0
) -> ClusteredMean:
    """Mean of ``values`` weighted by ``weight``, all (n,) with ``clusters`` naming each value's question.

    The interval resamples whole clusters (percentile bootstrap); the standard error is that of a ratio of cluster
    sums, sqrt(C / (C - 1) sum (S_c - mean N_c)^2) / sum N_c.
    """
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, weights=values * weight)
    sizes = np.bincount(index, weights=weight)
    mean, n = float(sums.sum() / sizes.sum()), len(sums)
    if n < FEWEST:
        return ClusteredMean(mean, None, None, None, n)
    drawn = bootstrap.weights(n, draws, seed)
    low, high = bootstrap.percentile_interval((drawn @ sums) / (drawn @ sizes))
    spread = math.sqrt(n / (n - 1) * float(((sums - mean * sizes) ** 2).sum())) / float(sizes.sum())
    return ClusteredMean(mean, spread, low, high, n)
