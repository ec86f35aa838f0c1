"""Do checkpoints of one base agree on the values of states? Spearman's rho against a position-matched shuffle.

Values change along a response in every checkpoint, and raw logsumexps of one base correlate trivially; so the null
keeps both: each state keeps its position and gets another response's value there, from the same other response as far
as that reaches (a response's states are dependent, and stay so).

V - V_0 of two checkpoints share the term V_0, which alone would correlate them; so rho given the base's logsumexp (the
partial rank correlation) stands beside it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from harness.stats import bootstrap

Array = np.ndarray
SHUFFLES = 200
DRAWS = 500
BLOCK = 50


def spearman(a: Array, b: Array) -> float | None:
    """Spearman's rho of two vectors, (n,); None where one does not vary."""
    return _correlation(rankdata(a), rankdata(b))


def _correlation(a: Array, b: Array) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None


def compare(by_row: dict[str, list[Array]], base: dict[str, list[Array]]) -> list[dict[str, Any]]:
    """Every two rows; each row is one value per state, a vector (T_i,) per response, the same responses in each.

    ``base`` has the logsumexp of each row's reference at the same states.
    """
    return [
        {"a": a, "b": b, **agree(by_row[a], by_row[b]), "rho_given_base": _given(by_row[a], by_row[b], base[a])}
        for a, b in combinations(by_row, 2)
    ]


def _given(first: list[Array], second: list[Array], base: list[Array]) -> float | None:
    return partial_spearman(*(np.concatenate(each) for each in (first, second, base)))


def partial_spearman(a: Array, b: Array, given: Array) -> float | None:
    """Spearman's rho of ``a`` and ``b`` with the linear effect of ``given``'s ranks taken out of both's ranks."""
    ranks = [rankdata(each) - (len(each) + 1) / 2 for each in (a, b, given)]
    if not ranks[2].any():
        return _correlation(ranks[0], ranks[1])
    left = [each - ranks[2] * (each @ ranks[2]) / (ranks[2] @ ranks[2]) for each in ranks[:2]]
    # what is left of a variable that ``given`` explains whole is rounding
    if any(float(each @ each) < 1e-9 * float(own @ own) for each, own in zip(left, ranks[:2], strict=True)):
        return None
    return _correlation(*left)


def agree(first: list[Array], second: list[Array], *, seed: int = 0) -> dict[str, Any]:
    """rho with an interval by example, and the same under `SHUFFLES` position-matched shuffles of ``second``."""
    a, b = np.concatenate(first), np.concatenate(second)
    rho = spearman(a, b)
    if rho is None or len(first) < 3:
        return {"rho": rho, "low": None, "high": None, "null_mean": None, "null_high": None, "p_value": None}
    random = np.random.default_rng(seed)
    ranked = rankdata(a)
    null = np.array([_correlation(ranked, rankdata(shuffled(second, random))) or 0.0 for _ in range(SHUFFLES)])
    example = np.repeat(np.arange(len(first)), [len(each) for each in first])
    low, high = _interval(a, b, example, seed)
    return {
        "rho": rho,
        "low": low,
        "high": high,
        "null_mean": float(null.mean()),
        "null_high": float(np.quantile(null, 0.975)),
        "p_value": (1 + int((null >= rho).sum())) / (1 + SHUFFLES),
    }


def shuffled(values: list[Array], random: np.random.Generator) -> Array:
    """(sum T_i,) every state with the value, at its position, of another response that reaches it.

    The other one is the next in a random order of the responses.
    """
    order = random.permutation(len(values))
    found = [each.copy() for each in values]
    for position in range(max(len(each) for each in values)):
        reaching = [int(number) for number in order if len(values[number]) > position]
        for here, there in zip(reaching, reaching[1:] + reaching[:1], strict=True):
            found[here][position] = values[there][position]
    return np.concatenate(found)


def _interval(a: Array, b: Array, example: Array, seed: int) -> tuple[float, float]:
    """Percentile interval of rho, resampling examples; ranks are taken anew in each draw."""
    weights = bootstrap.weights(int(example.max()) + 1, DRAWS, seed)
    found: list[Array] = []
    for start in range(0, DRAWS, BLOCK):
        drawn = weights[start : start + BLOCK][:, example]
        found.append(weighted_spearman(a, b, drawn))
    return bootstrap.percentile_interval(np.concatenate(found))


def weighted_spearman(a: Array, b: Array, weights: Array) -> Array:
    """rho in which state i stands ``weights[draw, i]`` times, (draws,)."""
    x, y = (_midranks(each, weights) for each in (a, b))
    total = weights.sum(1, keepdims=True)
    x, y = (each - (weights * each).sum(1, keepdims=True) / total for each in (x, y))
    covariance = (weights * x * y).sum(1)
    found: Array = covariance / np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
    return found


def _midranks(values: Array, weights: Array) -> Array:
    """Midranks, (draws, n), of ``values`` repeated ``weights`` times."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    mass = np.add.reduceat(weights[:, order], starts, axis=1)  # (draws, levels)
    ranks: Array = (mass.cumsum(1) - mass / 2 + 0.5)[:, level]
    return ranks
