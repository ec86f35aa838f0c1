"""Do checkpoints of one base agree on the values of states? Spearman's rho against a position-matched shuffle.

Values change along a response in every checkpoint, and raw logsumexps of one base correlate trivially; so the null
keeps both: each state keeps its position and gets another response's value there, from the same other response as far
as that reaches (a response's states are dependent, and stay so).

V - V_0 of two checkpoints share the term V_0, which alone would correlate them; so rho given the base's logsumexp (the
partial rank correlation) stands beside it, with an interval and a null of its own: what is left of the second row's
ranks is shuffled in the same way.
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

    ``base`` has the logsumexp of each row's reference at the same states; ``given_base`` says of the partial
    correlation what the pair itself says of the plain one.
    """
    if len(by_row) < 2:
        return []
    lengths = [len(each) for each in next(iter(by_row.values()))]
    flat = {row: np.concatenate(each) for row, each in by_row.items()}
    under, place = _distinct([np.concatenate(base[row]) for row in flat])
    moves = shuffles(lengths, seed)
    drawn = _drawn([*flat.values(), *under], np.repeat(np.arange(len(lengths)), lengths), seed)
    found = []
    for (i, a), (j, b) in combinations(enumerate(flat), 2):
        plain = _with_interval(agree(flat[a], flat[b], moves), drawn[:, i, j])
        given = agree_given(flat[a], flat[b], under[place[i]], moves)
        given = _with_interval(given, partial(drawn, i, j, len(flat) + place[i]))
        found.append({"a": a, "b": b, **plain, "rho_given_base": given["rho"], "given_base": given})
    return found


def _distinct(vectors: list[Array]) -> tuple[list[Array], list[int]]:
    """(the vectors that differ, which of them each one is): rows mostly share their reference."""
    kept: list[Array] = []
    place = []
    for vector in vectors:
        same = (number for number, other in enumerate(kept) if np.array_equal(vector, other))
        place.append(next(same, len(kept)))
        if place[-1] == len(kept):
            kept.append(vector)
    return kept, place


def _with_interval(found: dict[str, Any], drawn: Array) -> dict[str, Any]:
    """``found`` with the percentile interval of its rho over the draws, (draws,); none where a draw has no rho."""
    low = high = None
    if found["rho"] is not None and np.isfinite(drawn).all():
        low, high = (float(np.quantile(drawn, level)) for level in (0.025, 0.975))
    return {**found, "low": low, "high": high}


def agree(a: Array, b: Array, moves: Array) -> dict[str, Any]:
    """rho of two vectors, (n,), and the same under `shuffles` of the second, (shuffles, n)."""
    x, y = (rankdata(each) - (len(each) + 1) / 2 for each in (a, b))
    # a shuffle moves values about, so it moves their ranks about
    return _against_null(x, y, moves)


def agree_given(a: Array, b: Array, given: Array, moves: Array) -> dict[str, Any]:
    """`agree` of what is left of ``a`` and ``b`` when the linear effect of ``given``'s ranks is taken out of theirs."""
    left = _left(a, b, given)
    return _against_null(*left, moves) if left is not None else _against_null(np.zeros(2), np.zeros(2), moves)


def _against_null(x: Array, y: Array, moves: Array) -> dict[str, Any]:
    rho = _correlation(x, y)
    if rho is None:
        return {"rho": None, "null_mean": None, "null_high": None, "p_value": None}
    x, y = x - x.mean(), y - y.mean()
    null = (y[moves] @ x) / np.sqrt((x @ x) * (y @ y))
    return {
        "rho": rho,
        "null_mean": float(null.mean()),
        "null_high": float(np.quantile(null, 0.975)),
        "p_value": (1 + int((null >= rho - 1e-12).sum())) / (1 + len(moves)),
    }


def partial_spearman(a: Array, b: Array, given: Array) -> float | None:
    """Spearman's rho of ``a`` and ``b`` with the linear effect of ``given``'s ranks taken out of both's ranks."""
    left = _left(a, b, given)
    return None if left is None else _correlation(*left)


def _left(a: Array, b: Array, given: Array) -> tuple[Array, Array] | None:
    """What is left of the ranks of ``a`` and ``b``; None where ``given`` explains one of them whole."""
    ranks = [rankdata(each) - (len(each) + 1) / 2 for each in (a, b, given)]
    if not ranks[2].any():
        return ranks[0], ranks[1]
    first, second = (each - ranks[2] * (each @ ranks[2]) / (ranks[2] @ ranks[2]) for each in ranks[:2])
    # what is left of a variable that ``given`` explains whole is rounding
    if any(float(left @ left) < 1e-9 * float(own @ own) for left, own in ((first, ranks[0]), (second, ranks[1]))):
        return None
    return first, second


def partial(rho: Array, i: int, j: int, given: int) -> Array:
    """Partial correlations, (draws,), of rows ``i`` and ``j`` given row ``given``; ``rho`` is (draws, rows, rows)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        free = (1 - rho[:, i, given] ** 2) * (1 - rho[:, j, given] ** 2)
        found: Array = (rho[:, i, j] - rho[:, i, given] * rho[:, j, given]) / np.sqrt(free)
    return found


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


def _drawn(rows: list[Array], example: Array, seed: int) -> Array:
    """rho of every two rows, (draws, rows, rows), resampling examples; ranks are taken anew in each draw."""
    weights = bootstrap.weights(int(example.max()) + 1, DRAWS, seed)
    return np.concatenate(
        [weighted_spearman(rows, weights[start : start + BLOCK][:, example]) for start in range(0, DRAWS, BLOCK)]
    )


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
