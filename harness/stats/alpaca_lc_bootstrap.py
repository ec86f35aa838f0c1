"""The interval of AlpacaEval's length-controlled win rate: its fit repeated on resampled instructions, all
draws at once.

C is held at the choice made on all data; the gamed rows and the difficulties are fixed; the standard
deviation of the length differences is recomputed in each draw. The L1 penalty is exact: proximal Newton
steps, whose three-dimensional subproblem is solved by coordinate descent.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from harness.stats import bootstrap
from harness.stats.alpaca_lc import GAMED_WEIGHT, AlpacaLc, Gamed

Array = np.ndarray

DRAWS = 1000
COVERAGE = "covers 93 to 95 % in simulations"
"""Over 805 instructions; smallest and largest of benchmarks/results/coverage.json."""
BLOCK = 32
LARGEST_STEP = 1.7
MOST_STEPS = 200
CONVERGED = 1e-7


def interval(
    fitted: AlpacaLc,
    preference: Array,
    len_model: Array,
    len_baseline: Array,
    instruction: Array,
    difficulty: Array,
    gamed: Gamed,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval, 0 to 100, of `alpaca_length_controlled` on the same arguments."""
    joined = difficulty[np.arange(len(preference)) if fitted.join == "official" else instruction]
    answered = ~np.isnan(preference)
    weights = bootstrap.weights(len(preference), draws, seed)
    coefficients = refits(fitted, preference, len_baseline - len_model, joined, gamed, weights)
    counted = weights if fitted.join == "official" else weights * answered
    predicted = expit(np.outer(coefficients[:, 1], joined) + coefficients[:, 2:])
    return bootstrap.percentile_interval(100 * (counted * predicted).sum(1) / counted.sum(1))


def refits(fitted: AlpacaLc, preference: Array, delta: Array, difficulty: Array, gamed: Gamed, weights: Array) -> Array:
    """Coefficients (draws, 3) for instruction weights (draws, n); ``difficulty`` is each row's own, (n,)."""
    blocks = [weights[start : start + BLOCK] for start in range(0, len(weights), BLOCK)]
    return np.concatenate([_Block(fitted, preference, delta, difficulty, gamed, block).solve() for block in blocks])


class _Block:
    """Some draws, fitted together: (draws, n) arrays that fit the processor's cache."""

    def __init__(
        self,
        fitted: AlpacaLc,
        preference: Array,
        delta: Array,
        difficulty: Array,
        gamed: Gamed,
        weights: Array,
    ) -> None:
        answered = ~np.isnan(preference)
        self.penalty = 1 / fitted.strength
        self.start = np.array(fitted.coefficients)
        self.length = np.tanh(delta / _deviations(delta, weights)[:, None])[:, answered]
        self.difficulty = difficulty[answered]
        self.preference = preference[answered]
        self.weights = weights[:, answered]
        self.gamed = np.column_stack([np.tanh(gamed.scaled_delta), gamed.difficulty])
        self.gamed_preference = gamed.preference
        self.gamed_products = self.gamed[:, [0, 0, 1]] * self.gamed[:, [0, 1, 1]]
        # no logit moves by more than these times the coefficients' steps
        self.reach = np.array([1.0, max(np.abs(self.difficulty).max(), np.abs(gamed.difficulty).max()), 1.0])

    def solve(self) -> Array:
        """Minimise (sum of weighted log losses) + |b|_1 / C in every draw, (draws, 3).

        A step whose largest change of a logit is at most 1.7 lowers the objective (see `length_control`),
        so longer ones are shortened and no draw can diverge.
        """
        b = np.tile(self.start, (len(self.weights), 1))
        for _ in range(MOST_STEPS):
            gradient, hessian = self._derivatives(b)
            step = proximal_step(b, gradient, hessian, self.penalty)
            if np.abs(step).max() < CONVERGED:
                return b
            size = np.abs(step) @ self.reach
            b += step * np.minimum(1.0, LARGEST_STEP / np.maximum(size, 1e-300))[:, None]
        raise ArithmeticError("the length-controlled fit of a bootstrap draw did not converge")

    def _derivatives(self, b: Array) -> tuple[Array, Array]:
        """Gradient (draws, 3) and Hessian (draws, 3, 3) of the log losses."""
        chance = _logistic(b[:, :1] * self.length + np.outer(b[:, 1], self.difficulty) + b[:, 2:])
        residual = self.weights * (chance - self.preference)
        curvature = self.weights * chance * (1 - chance)
        bent = curvature * self.length
        gradient = np.column_stack(
            [np.einsum("ij,ij->i", residual, self.length), residual @ self.difficulty, residual.sum(1)]
        )
        hessian = np.empty((len(b), 3, 3))
        hessian[:, 0, 0] = np.einsum("ij,ij->i", bent, self.length)
        hessian[:, 0, 1], hessian[:, 0, 2] = bent @ self.difficulty, bent.sum(1)
        hessian[:, 1, 1], hessian[:, 1, 2] = curvature @ self.difficulty**2, curvature @ self.difficulty
        hessian[:, 2, 2] = curvature.sum(1)
        self._add_gamed(b, gradient, hessian)
        for row, column in ((1, 0), (2, 0), (2, 1)):
            hessian[:, row, column] = hessian[:, column, row]
        return gradient, hessian

    def _add_gamed(self, b: Array, gradient: Array, hessian: Array) -> None:
        chance = _logistic(b[:, :2] @ self.gamed.T)
        gradient[:, :2] += GAMED_WEIGHT * ((chance - self.gamed_preference) @ self.gamed)
        products = GAMED_WEIGHT * ((chance * (1 - chance)) @ self.gamed_products)
        hessian[:, 0, 0] += products[:, 0]
        hessian[:, 0, 1] += products[:, 1]
        hessian[:, 1, 1] += products[:, 2]


def _logistic(logit: Array) -> Array:
    """1 / (1 + exp(-logit)) written over ``logit``; through tanh, which numpy computes in vector registers."""
    logit *= 0.5
    np.tanh(logit, out=logit)
    logit *= 0.5
    logit += 0.5
    return logit


def _deviations(delta: Array, weights: Array) -> Array:
    """Standard deviation (ddof 1) of the length differences within each draw, (draws,)."""
    total = weights.sum(1)
    centred = delta - delta.mean()
    mean = weights @ centred / total
    deviations: Array = np.sqrt((weights @ centred**2 - total * mean**2) / (total - 1))
    return deviations


def proximal_step(b: Array, gradient: Array, hessian: Array, penalty: float, sweeps: int = 500) -> Array:
    """The step d, (draws, 3), that minimises gradient.d + d.hessian.d / 2 + penalty |b + d|_1 per draw."""
    at = b.copy()
    slope = gradient.copy()  # of the smooth part, at ``at``
    for _ in range(sweeps):
        largest = 0.0
        for k in range(3):
            curvature = hessian[:, k, k]
            free = at[:, k] - slope[:, k] / curvature
            new = np.sign(free) * np.maximum(np.abs(free) - penalty / curvature, 0.0)
            change = new - at[:, k]
            slope += change[:, None] * hessian[:, :, k]
            at[:, k] = new
            largest = max(largest, float(np.abs(change).max()))
        if largest < 0.1 * CONVERGED:
            break
    step: Array = at - b
    return step
