"""Length-controlled win rate for benchmarks without AlpacaEval's extra files.

    logit P = b0 tanh((len_base - len_model) / std) + b1

fitted to the preferences (ties are one half), the length term then set to 0: LC = 100 sigmoid(b1). After Dubois et
al. 2024,
"Length-Controlled AlpacaEval", without its instruction difficulties. std is that of the differences (ddof 1); b0
carries a ridge of 0.01
on the summed loss, b1 none, so that preferences which do not depend on length give back the plain win rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.stats.bootstrap import resample_counts

Values = NDArray[np.float64]
RIDGE = 1e-2
ITERATIONS = 60
LARGEST_STEP = 2.0
LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class LengthControlled:
    """The estimate in percent with its 95 % interval, or None with the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def length_controlled(
    preferences: Values, len_model: Values, len_base: Values, *, draws: int, seed: int
) -> LengthControlled:
    """The length-controlled win rate; all inputs (n,), lengths in characters."""
    difference = len_base - len_model
    reason = _why_not(preferences, difference)
    if reason is not None:
        return LengthControlled(None, reason=reason)
    ones = np.ones((1, len(preferences)))
    value = _fit(preferences, difference, ones)[0]
    counts = resample_counts(len(preferences), draws, seed).astype(np.float64)
    low, high = np.nanpercentile(_fit(preferences, difference, counts), (2.5, 97.5))
    return LengthControlled(float(value), float(low), float(high))


def _why_not(preferences: Values, difference: Values) -> str | None:
    if len(preferences) < 3:
        return "fewer than three verdicts"
    if np.ptp(difference) == 0:
        return "the lengths do not differ"
    if np.ptp(preferences) == 0:
        return "every preference is the same"
    if separable(preferences, difference):
        return "the length difference alone separates wins from losses"
    return None


def separable(preferences: Values, difference: Values) -> bool:
    """Whether a threshold on the length difference splits all wins from all losses, so that the fit has no finite
    optimum.
    """
    hard = (preferences == 0) | (preferences == 1)
    if not hard.all():
        return False  # a soft preference bounds the likelihood
    won, lost = difference[preferences == 1], difference[preferences == 0]
    return bool(won.min() >= lost.max() or lost.min() >= won.max())


def _fit(preferences: Values, difference: Values, weights: Values) -> Values:
    """(draws,) LC in percent for rows of ``weights`` (draws, n), by Newton's method on two parameters at once."""
    n = weights.sum(axis=1)
    mean = weights @ difference / n
    variance = (weights * (difference - mean[:, None]) ** 2).sum(axis=1) / (n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.tanh(difference[None, :] / np.sqrt(variance)[:, None])
    x = np.where(np.isfinite(x), x, 0.0)  # a draw whose lengths do not differ has no length term
    slope, intercept = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(ITERATIONS):
        step_slope, step_intercept = _newton_step(preferences, weights, x, slope, intercept)
        slope = np.clip(slope - step_slope, -LARGEST_LOGIT, LARGEST_LOGIT)
        intercept = np.clip(intercept - step_intercept, -LARGEST_LOGIT, LARGEST_LOGIT)
        if max(np.abs(step_slope).max(), np.abs(step_intercept).max()) < 1e-10:
            break
    return 100 / (1 + np.exp(-intercept))


def _newton_step(
    preferences: Values, weights: Values, x: Values, slope: Values, intercept: Values
) -> tuple[Values, Values]:
    logit = slope[:, None] * x + intercept[:, None]
    predicted = 1 / (1 + np.exp(-logit))
    error = weights * (predicted - preferences)
    spread = weights * predicted * (1 - predicted)
    g0, g1 = (error * x).sum(axis=1) + RIDGE * slope, error.sum(axis=1)
    h00, h01 = (spread * x * x).sum(axis=1) + RIDGE, (spread * x).sum(axis=1)
    h11 = spread.sum(axis=1) + 1e-12
    determinant = h00 * h11 - h01 * h01
    steps = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
    first, second = (np.clip(step, -LARGEST_STEP, LARGEST_STEP) for step in steps)
    return first, second
