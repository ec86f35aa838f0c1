"""Means with standard errors and intervals clustered by example, as plain dictionaries of floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.stats import bootstrap
from harness.stats.intervals import rate_interval

Array = np.ndarray
Figures = dict[str, Any]


def ratio(sums: Array, sizes: Array, *, seed: int = 0, draws: int = bootstrap.DRAWS) -> Figures:
    """``sum(sums) / sum(sizes)`` over clusters, (n,) each, with its standard error and percentile interval.

    The standard error is the linearised one of a ratio over clusters, with ddof 1; None with fewer than two clusters.
    """
    n = len(sums)
    estimate = float(sums.sum() / sizes.sum())
    if n < 2:
        return {"estimate": estimate, "low": None, "high": None, "standard_error": None, "clusters": n}
    residual = sums - estimate * sizes
    error = math.sqrt(n / (n - 1) * float((residual**2).sum())) / float(sizes.sum())
    drawn = bootstrap.weights(n, draws, seed)
    low, high = bootstrap.percentile_interval((drawn @ sums) / (drawn @ sizes))
    return {"estimate": estimate, "low": low, "high": high, "standard_error": error, "clusters": n}


def mean(values: Array, clusters: Array | None = None, *, seed: int = 0) -> Figures:
    """The mean of ``values``, (n,), whose examples ``clusters`` names; see `ratio`."""
    return ratio(*bootstrap.cluster_sums(values, clusters), seed=seed)


def share(values: Array, *, seed: int = 0) -> Figures:
    """The mean of outcomes in [0, 1], one per example, (n,), on 0 to 100, with `rate_interval`'s interval."""
    found = rate_interval(values, seed=seed)
    estimate = 100 * float(values.mean())
    return {"estimate": estimate, "low": found.low, "high": found.high, "note": found.note, "clusters": len(values)}


def concordance(difference: Array) -> Array:
    """1 where positive, 0 where negative, one half for ties."""
    found: Array = (difference > 0) + 0.5 * (difference == 0)
    return found
