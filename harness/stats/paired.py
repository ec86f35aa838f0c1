"""Two rows on one benchmark, prompt by prompt: sign-flip test, Holm's correction, ranks with ties."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray

ALPHA = 0.05
MONTE_CARLO_DRAWS = 20_000
EXACT_UP_TO = 14
Z_TWO_SIDED_5_PERCENT = 1.96
Z_POWER_80_PERCENT = 0.84


def sign_flip_test(differences: Array, *, draws: int = MONTE_CARLO_DRAWS, seed: int = 0) -> Array:
    """Two-sided p-value of each column of ``differences``, (prompts, pairs): is its mean zero?

    Under the null hypothesis each prompt's difference is as likely with the opposite sign. A prompt that a
    pair does not share is a zero, which changes no sum. Exact where possible: differences that are
    multiples of one half (passes, wins and ties) by the distribution of their signed sum, few prompts by
    listing all sign patterns; otherwise ``draws`` random patterns, seeded, with p = (1 + as extreme) / (1 +
    draws).
    """
    n_pairs = differences.shape[1]
    p_values = np.ones(n_pairs)
    sampled = []
    for pair in range(n_pairs):
        column = differences[:, pair]
        column = column[column != 0]
        exact = _exact(column)
        if exact is None:
            sampled.append(pair)
        else:
            p_values[pair] = exact
    if sampled:
        p_values[sampled] = _monte_carlo(differences[:, sampled], draws, seed)
    return p_values


def _exact(column: Array) -> float | None:
    if not len(column):
        return 1.0
    halves = np.abs(column) * 2
    if (halves == np.rint(halves)).all():
        return _lattice(np.rint(column * 2).astype(int))
    if len(column) <= EXACT_UP_TO:
        return _enumerated(column)
    return None


def _lattice(units: Array) -> float:
    """p-value from the exact distribution of the sum of plus or minus ``units`` (whole numbers, not zero).

    With m values of size k, their signed sum is k (2 Binomial(m, 1/2) - m). For passes, all of size one,
    this is McNemar's exact test.
    """
    distribution: Array = np.ones(1)
    sizes, counts = np.unique(np.abs(units), return_counts=True)
    for size, count in zip(sizes, counts, strict=True):
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = _fair_binomial(int(count))
        distribution = np.convolve(distribution, spread)
    reach = (len(distribution) - 1) // 2
    sums = np.arange(-reach, reach + 1)
    return min(1.0, float(distribution[np.abs(sums) >= abs(int(units.sum()))].sum()))


def _fair_binomial(count: int) -> Array:
    log_factorials = np.cumsum(np.log(np.maximum(1, np.arange(count + 1))))
    logs = log_factorials[-1] - log_factorials - log_factorials[::-1]
    mass: Array = np.exp(logs - count * math.log(2))
    return mass


def _enumerated(column: Array) -> float:
    patterns = np.arange(2 ** len(column))[:, None] >> np.arange(len(column)) & 1
    sums = np.abs((2 * patterns - 1) @ column)
    return float((sums >= abs(column.sum()) - _rounding(column)).mean())


def _monte_carlo(differences: Array, draws: int, seed: int, block: int = 1000) -> Array:
    generator = np.random.default_rng(seed)
    threshold = np.abs(differences.sum(0)) - np.array([_rounding(column) for column in differences.T])
    extreme = np.zeros(differences.shape[1])
    for start in range(0, draws, block):
        size = (min(block, draws - start), len(differences))
        signs = 2.0 * generator.integers(0, 2, size=size, dtype=np.int8) - 1.0
        extreme += (np.abs(signs @ differences) >= threshold).sum(0)
    p_values: Array = (1 + extreme) / (1 + draws)
    return p_values


def _rounding(column: Array) -> float:
    """How far apart two equal sums may come out when their terms are added in another order."""
    return 1e-12 * float(np.abs(column).sum())


def holm(p_values: Array) -> Array:
    """Holm's adjusted p-values, shape (tests,): below alpha means rejected with family-wise error alpha
    (Holm 1979).
    """
    order = np.argsort(p_values, kind="stable")
    stepped = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped)) if len(p_values) else stepped
    return adjusted


def smallest_detectable_difference(deviation: float, n: int) -> float:
    """The true difference that a paired test of ``n`` prompts finds with 80 % power at the 5 % level.

    ``deviation`` is the standard deviation of the per-prompt differences; the answer is on its scale.
    """
    return (Z_TWO_SIDED_5_PERCENT + Z_POWER_80_PERCENT) * deviation / math.sqrt(n)
