"""Win rate at equal length, for benchmarks without AlpacaEval's extra files.

    logit P(model preferred) = b0 x + b2,   x = tanh(d / std(d)),   d = len_baseline - len_model

Lengths in characters; the difference is divided by its own standard deviation (ddof 1) and not shifted, as
in AlpacaEval's fit (`length_controlled_v1`), whose difficulty term and extra rows are absent here. A ridge
of 1e-2 on b0 keeps the slope finite: (sum of log losses) + 0.01 b0^2 / 2. b2 is free, so preferences that
do not depend on length keep their win rate. The length-controlled win rate is the prediction at x = 0, 100
expit(b2). b0 < 0 is the usual bias towards long completions: a model that writes longer than the baseline
then scores lower at equal length than in the raw win rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from harness.stats import bootstrap
from harness.stats.closed_form import Z_95

Array = np.ndarray

RIDGE = 1e-2
TOLERANCE = 1e-9
MOST_STEPS = 1000
LARGEST_STEP = 1.7
BLOCK = 256
"""Draws fitted together: more would not fit the processor's cache."""

EDGE = 100
"""With fewer expected outcomes than this on the rare side the bootstrap covers too little: 85 to 94 % in simulations,
where the robust interval covers 93 to 97 % (benchmarks/results/coverage.json)."""
FEW_RARE = 2
ROBUST_COVERAGE = "covers 93 to 97 % in simulations"

LENGTHS_EQUAL = "the length difference does not vary"
SEPARABLE = "the length difference separates wins from losses, so the fit has no finite answer"
ONE_SIDED = "every verdict went the same way, so the fit has no finite answer"
TOO_FEW = "fewer than two verdicts"


@dataclass(frozen=True)
class LengthControlled:
    """Rates on 0 to 100, all None with a ``reason`` when the fit has no answer."""

    win_rate: float | None
    low: float | None = None
    high: float | None = None
    slope: float | None = None
    reason: str | None = None
    note: str | None = None
    """How the interval was made."""


def length_controlled(
    preferences: Array, len_model: Array, len_baseline: Array, *, draws: int = bootstrap.DRAWS, seed: int = 0
) -> LengthControlled:
    """The fit, and its 95 % interval: robust standard errors where outcomes of one side are few (`EDGE`), otherwise the
    fit of every bootstrap draw.

    All inputs (n,): preferences for the model in [0, 1] without NaN, lengths in characters. Instructions are the unit
    of resampling; the scale of the length differences is recomputed in every draw.
    """
    delta = (len_baseline - len_model).astype(np.float64)
    reason = why_not(preferences, delta)
    if reason:
        return LengthControlled(None, reason=reason)
    slope, intercept = fit(preferences, delta, np.ones((1, len(delta))))
    rate, steepness = 100 * float(expit(intercept)[0]), float(slope[0])
    if len(delta) * min(preferences.mean(), 1 - preferences.mean()) < EDGE:
        low, high = _robust_interval(preferences, delta, steepness, float(intercept[0]))
        return LengthControlled(
            rate,
            low,
            high,
            steepness,
            note=f"robust interval on the logit over {len(delta)} instructions, {ROBUST_COVERAGE}",
        )
    drawn = fit(preferences, delta, bootstrap.weights(len(delta), draws, seed))[1]
    low, high = bootstrap.percentile_interval(100 * expit(drawn))
    note = f"percentile bootstrap over {len(delta)} instructions, {draws} draws, seed {seed}"
    return LengthControlled(rate, low, high, steepness, note=note)


def _robust_interval(preferences: Array, delta: Array, slope: float, intercept: float) -> tuple[float, float]:
    """b2 plus and minus 1.96 robust (sandwich) standard errors, as rates of 0 to 100.

    With fewer than `FEW_RARE` verdicts on the rare side of one half the sample does not show how hard outcomes
    scatter, and the model's own variance is taken if it is larger.
    """
    x = np.tanh(delta / delta.std(ddof=1))
    chance = expit(slope * x + intercept)
    features = np.column_stack([x, np.ones(len(x))])
    bread = np.linalg.inv((features * (chance * (1 - chance))[:, None]).T @ features + np.diag([RIDGE, 0.0]))
    scores = features * (chance - preferences)[:, None]
    n = len(x)
    variance = (bread @ scores.T @ scores @ bread)[1, 1] * n / max(n - 2, 1)
    if min((preferences >= 0.5).sum(), (preferences <= 0.5).sum()) < FEW_RARE:
        variance = max(variance, bread[1, 1])
    half = Z_95 * np.sqrt(variance)
    low, high = 100 * expit(np.array([intercept - half, intercept + half]))
    return float(low), float(high)


def why_not(preferences: Array, delta: Array) -> str | None:
    """The reason why the unpenalised fit has no finite answer, or None; a soft preference counts on both
    sides.
    """
    if len(preferences) < 2:
        return TOO_FEW
    won, lost = delta[preferences > 0], delta[preferences < 1]
    if not len(won) or not len(lost):
        return ONE_SIDED
    if np.ptp(delta) == 0:
        return LENGTHS_EQUAL
    if won.min() >= lost.max() or lost.min() >= won.max():
        return SEPARABLE
    return None


def fit(preferences: Array, delta: Array, weights: Array) -> tuple[Array, Array]:
    """(b0, b2), each (draws,), for instruction weights (draws, n): Newton's method on all draws at once.

    A draw in which every verdict went one way has b2 = plus or minus infinity (its win rate at equal length
    is 0 or 1), so no draw is dropped. Raises ArithmeticError if a draw does not converge.
    """
    mean = weights @ preferences / weights.sum(1)
    slope = np.zeros(len(weights))
    intercept = np.where(mean > 0.5, np.inf, -np.inf)
    # decided on counts: the mean of many draws of one side may miss 0 or 1 by rounding
    open_draws = (weights @ (preferences > 0) > 0) & (weights @ (preferences < 1) > 0)
    indices = np.flatnonzero(open_draws)
    for start in range(0, len(indices), BLOCK):
        block = indices[start : start + BLOCK]
        slope[block], intercept[block] = _newton(preferences, _scaled(delta, weights[block]), weights[block])
    return slope, intercept


def _scaled(delta: Array, weights: Array) -> Array:
    """x, (draws, n): the difference over its standard deviation within each draw; zero where it does not
    vary.
    """
    total = weights.sum(1)
    centred = delta - delta.mean()  # for accuracy only: the variance does not depend on the shift
    mean = weights @ centred / total
    variance = (weights @ centred**2 - total * mean**2) / (total - 1)
    varies = variance > 1e-12 * max(1.0, float((delta**2).max()))
    scale = np.sqrt(np.where(varies, variance, 1.0))
    x: Array = np.tanh(np.where(varies[:, None], delta / scale[:, None], 0.0))
    return x


def _newton(y: Array, x: Array, weights: Array) -> tuple[Array, Array]:
    """Minimise every draw's loss, starting from its raw win rate.

    A step that moves no logit by more than 1.7 always lowers a logistic loss: f(z + d) <= f + g.d +
    d.H.d (e^r - r - 1) / r^2 with r = max |d logit|, and the last factor is below one up to r = 1.79. Since
    |x| <= 1, capping |step b0| + |step b2| is enough, and no draw can diverge.
    """
    target = weights @ y / weights.sum(1)
    slope, intercept = np.zeros(len(x)), np.log(target) - np.log1p(-target)
    todo = np.arange(len(x))
    for _ in range(MOST_STEPS):
        step_a, step_b, gradient = _newton_step(y, x, weights, slope[todo], intercept[todo])
        going = gradient > TOLERANCE * weights.sum(1)
        if not going.any():
            return slope, intercept
        shrink = np.minimum(1.0, LARGEST_STEP / np.maximum(np.abs(step_a) + np.abs(step_b), 1e-300))
        slope[todo] -= np.where(going, shrink * step_a, 0.0)
        intercept[todo] -= np.where(going, shrink * step_b, 0.0)
        if not going.all():
            todo, x, weights = todo[going], x[going], weights[going]
    raise ArithmeticError(f"the length-controlled fit of {len(todo)} draws did not converge")


def _newton_step(y: Array, x: Array, weights: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Newton direction (to subtract) for b0 and b2, and the largest entry of the gradient; each (draws,)."""
    p = expit(a[:, None] * x + b[:, None])
    residual = weights * (p - y)
    grad_a, grad_b = np.einsum("ij,ij->i", residual, x) + RIDGE * a, residual.sum(1)
    curvature = weights * p * (1 - p)
    bent = curvature * x
    h_aa, h_ab, h_bb = np.einsum("ij,ij->i", bent, x) + RIDGE, bent.sum(1), curvature.sum(1)
    determinant = h_aa * h_bb - h_ab * h_ab
    step_a = (h_bb * grad_a - h_ab * grad_b) / determinant
    step_b = (h_aa * grad_b - h_ab * grad_a) / determinant
    return step_a, step_b, np.maximum(np.abs(grad_a), np.abs(grad_b))
