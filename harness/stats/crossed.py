"""Mean over several training seeds: seeds and instructions are crossed, both are sampled and both count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


COVERAGE = "covers 92 to 96 % with three seeds in simulations"
"""Smallest and largest of benchmarks/results/coverage.json; too little where the seeds' own effect is large."""


@dataclass(frozen=True)
class CrossedMean:
    """A mean with its 95 % interval, on the scale of the values; ``degrees`` are Satterthwaite's."""

    mean: float
    low: float
    high: float
    standard_error: float
    degrees: float
    note: str
    """How the interval was made and what it covers, to be printed beside it."""


def crossed_mean(values: Array) -> CrossedMean:
    """Mean of ``values``, (seeds, instructions), at least two of each, none missing, for new seeds and new
    instructions.

    Two-way random effects: variance of the mean = (MS_seed + MS_instruction - MS_error) / (seeds x
    instructions), with Satterthwaite's degrees of freedom. Where MS_error exceeds the smaller of the other
    two, the larger stands alone, so that the interval cannot vanish. Raises ValueError with fewer than two
    seeds or instructions, or a NaN.
    """
    n_seeds, n = values.shape
    if n_seeds < 2 or n < 2 or np.isnan(values).any():
        raise ValueError("needs at least two seeds and two instructions, all answered")
    squares, freedoms = _mean_squares(values)
    seed, instruction, error = squares
    total = seed + instruction - error
    terms = np.array([seed, instruction, -error])
    if total < max(seed, instruction):
        total, larger = max(seed, instruction), [0 if seed >= instruction else 1]
        terms, freedoms = terms[larger], freedoms[larger]
    return _interval(float(values.mean()), total / values.size, terms, freedoms)


def _mean_squares(values: Array) -> tuple[Array, Array]:
    """(MS of seeds, instructions, error) and their degrees of freedom, both (3,)."""
    n_seeds, n = values.shape
    mean, by_seed, by_instruction = values.mean(), values.mean(1), values.mean(0)
    residual = values - by_seed[:, None] - by_instruction + mean
    freedoms = np.array([n_seeds - 1, n - 1, (n_seeds - 1) * (n - 1)], dtype=np.float64)
    sums = [
        n * ((by_seed - mean) ** 2).sum(),
        n_seeds * ((by_instruction - mean) ** 2).sum(),
        (residual**2).sum(),
    ]
    return np.array(sums) / freedoms, freedoms


def _interval(mean: float, variance: float, terms: Array, freedoms: Array) -> CrossedMean:
    from scipy.stats import t

    note = f"seeds crossed with instructions, Satterthwaite t, {COVERAGE}"
    if variance == 0:
        return CrossedMean(mean, mean, mean, 0.0, float(freedoms.sum()), note)
    degrees = float(terms.sum() ** 2 / (terms**2 / freedoms).sum())
    error = float(np.sqrt(variance))
    half = float(t.ppf(0.975, degrees)) * error
    return CrossedMean(mean, mean - half, mean + half, error, degrees, note)
