"""Comparing rows on the same instructions: sign-flip test, Holm's correction, ranks with ties, detectable
difference.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
EXACT_UP_TO = 14  # 2^14 sign patterns are enumerated
DRAWS = 20_000
POWER_FACTOR = 1.96 + 0.84  # two-sided 5 %, 80 % power


def sign_flip_p_value(differences: Values, *, seed: int, draws: int = DRAWS) -> float:
    """Two-sided p-value that paired ``differences`` (n,) are symmetric about 0, by flipping their signs.

    Exact where few differences are non-zero; otherwise (1 + hits) / (1 + draws), so never 0.
    """
    moved = differences[differences != 0]
    observed = abs(moved.sum())
    if len(moved) == 0:
        return 1.0
    slack = 1e-9 * max(1.0, observed)
    if len(moved) <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(moved))))
        return float((np.abs(signs @ moved) >= observed - slack).mean())
    generator = np.random.default_rng(seed)
    hits = 0
    for start in range(0, draws, 4000):
        size = min(4000, draws - start)
        signs = generator.integers(0, 2, size=(size, len(moved)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ moved) >= observed - slack).sum())
    return (1 + hits) / (1 + draws)


def holm(p_values: list[float]) -> list[float]:
    """Holm 1979: adjusted p-values in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return adjusted


def compare_all(scores: dict[str, dict[str, float]], *, seed: int, alpha: float = 0.05) -> dict[str, Any]:
    """Every pair of rows on the instructions both answered; ``scores`` row → {prompt_id: value in [0, 1]}.

    Returns ``ranks`` (1 + number of rows significantly better after Holm over all pairs), ``pairs`` in points (0 to
    100), and the
    smallest detectable difference for the median pair's spread.
    """
    pairs = [_pair(a, b, scores, seed) for a, b in itertools.combinations(scores, 2)]
    for pair, adjusted in zip(pairs, holm([pair["p_value"] for pair in pairs]), strict=True):
        pair["p_holm"] = adjusted
        pair["significant"] = adjusted < alpha
    ranks = dict.fromkeys(scores, 1)
    for pair in pairs:
        if pair["significant"]:
            ranks[pair["b"] if pair["difference"] > 0 else pair["a"]] += 1
    return {"alpha": alpha, "ranks": ranks, "pairs": pairs, **_detectable(pairs)}


def _pair(a: str, b: str, scores: dict[str, dict[str, float]], seed: int) -> dict[str, Any]:
    shared = [prompt for prompt in scores[a] if prompt in scores[b]]
    differences = np.array([scores[a][prompt] - scores[b][prompt] for prompt in shared], dtype=np.float64)
    n = len(shared)
    return {
        "a": a,
        "b": b,
        "n": n,
        "difference": 100 * float(differences.mean()) if n else 0.0,
        "sd": 100 * float(differences.std(ddof=1)) if n > 1 else None,
        "p_value": sign_flip_p_value(differences, seed=seed),
    }


def _detectable(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    known = sorted((pair["sd"], pair["n"]) for pair in pairs if pair["sd"])
    if not known:
        return {"smallest_detectable_difference": None, "assumed_sd": None}
    sd, n = known[len(known) // 2]
    return {"smallest_detectable_difference": POWER_FACTOR * sd / math.sqrt(n), "assumed_sd": sd}
