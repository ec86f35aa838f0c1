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


def compare(by_row: dict[str, list[Array]], base: dict[str, list[Array]], *, seed: int = 0) -> list[dict[str, Any]]:
    """Every two rows; each row is one value per state, a vector (T_i,) per response, the same responses in each.

    ``base`` has the logsumexp of each row's reference at the same states.
    """
    if len(by_row) < 2:
        return []
    lengths = [len(each) for each in next(iter(by_row.values()))]
    flat = {row: np.concatenate(each) for row, each in by_row.items()}
    moves = shuffles(lengths, seed)
    intervals = _intervals(list(flat.values()), np.repeat(np.arange(len(lengths)), lengths), seed)
    found = []
    for (i, a), (j, b) in combinations(enumerate(flat), 2):
        against = agree(flat[a], flat[b], moves)
        low, high = intervals[i, j] if against["rho"] is not None else (None, None)
        given = partial_spearman(flat[a], flat[b], np.concatenate(base[a]))
        found.append({"a": a, "b": b, **against, "low": low, "high": high, "rho_given_base": given})
    return found


def agree(a: Array, b: Array, moves: Array) -> dict[str, Any]:
    """rho of two vectors, (n,), and the same under `shuffles` of the second, (shuffles, n)."""
    rho = spearman(a, b)
    if rho is None:
        return {"rho": None, "null_mean": None, "null_high": None, "p_value": None}
    ranks = [rankdata(each) for each in (a, b)]
    x, y = (each - each.mean() for each in ranks)
    # a shuffle moves values about, so it moves their ranks about
    null = (y[moves] @ x) / np.sqrt((x @ x) * (y @ y))
    return {
        "rho": rho,
        "null_mean": float(null.mean()),
        "null_high": float(np.quantile(null, 0.975)),
        "p_value": (1 + int((null >= rho - 1e-12).sum())) / (1 + len(moves)),
    }


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


def shuffles(lengths: list[int], seed: int, count: int = SHUFFLES) -> Array:
    """(count, sum T_i) for every state the number of the state whose value it gets: same position, another response.

    The other one is the next in a random order among the responses that reach this position.
    """
    random = np.random.default_rng(seed)
    length = np.array(lengths)
    begin = np.concatenate([[0], np.cumsum(length)[:-1]])
    found = np.empty((count, int(length.sum())), dtype=np.int64)
    for moves in found:
        order = random.permutation(len(length))
        for position in range(int(length.max())):
            reaching = order[length[order] > position]
            moves[begin[reaching] + position] = begin[np.roll(reaching, -1)] + position
    return found


def _intervals(rows: list[Array], example: Array, seed: int) -> Array:
    """(rows, rows, 2) percentile intervals of rho, resampling examples; ranks are taken anew in each draw."""
    weights = bootstrap.weights(int(example.max()) + 1, DRAWS, seed)
    found = np.concatenate(
        [weighted_spearman(rows, weights[start : start + BLOCK][:, example]) for start in range(0, DRAWS, BLOCK)]
    )
    return np.stack([np.quantile(found, level, axis=0) for level in (0.025, 0.975)], -1)


def weighted_spearman(rows: list[Array], weights: Array) -> Array:
    """rho of every two rows in which state i stands ``weights[draw, i]`` times, (draws, rows, rows)."""
    total = weights.sum(1, keepdims=True)
    root = np.sqrt(weights)
    centred = []
    for row in rows:
        ranks = _midranks(row, weights)
        ranks = root * (ranks - (weights * ranks).sum(1, keepdims=True) / total)
        size = np.sqrt((ranks**2).sum(1, keepdims=True))
        centred.append(ranks / np.where(size > 0, size, 1.0))
    stacked = np.stack(centred, 1)  # (draws, rows, n)
    found: Array = stacked @ stacked.transpose(0, 2, 1)
    return found


def _midranks(values: Array, weights: Array) -> Array:
    """Midranks, (draws, n), of ``values`` repeated ``weights`` times."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    mass = np.add.reduceat(weights[:, order], starts, axis=1)  # (draws, levels)
    ranks: Array = (mass.cumsum(1) - mass / 2 + 0.5)[:, level]
    return ranks
