"""Implicit rewards as a reward model: how often the chosen response gets the higher one, and by how much.

Beside it what needs no reward at all: the policy's and the reference's own log-prob, and the shorter response.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from harness.analysis import summaries
from harness.stats import paired
from harness.stats.intervals import difference_interval

Array = np.ndarray
Line = dict[str, Any]
RIVALS = ("logprob", "reference_logprob")


def estimates(lines: list[Line]) -> dict[str, Any]:
    """A row's figures from ``rewards.jsonl`` of preference pairs."""
    margins = margin(lines)
    tokens = _difference(lines, "tokens")
    per_token = np.array([_per_token(line["chosen"]) - _per_token(line["rejected"]) for line in lines])
    found = {
        "n": len(lines),
        "accuracy": summaries.share(summaries.concordance(margins)),
        "accuracy_per_token": summaries.share(summaries.concordance(per_token)),
        "margin": summaries.mean(margins),
        "reward_chosen": summaries.mean(np.array([line["chosen"]["reward"] for line in lines])),
        "reward_rejected": summaries.mean(np.array([line["rejected"]["reward"] for line in lines])),
        "accuracy_shorter": summaries.share(summaries.concordance(-tokens)),
    }
    for name in RIVALS:
        found[f"accuracy_{name}"] = summaries.share(summaries.concordance(_difference(lines, name)))
    return found


def margin(lines: list[Line]) -> Array:
    """R(chosen) - R(rejected), (n,)."""
    return np.array([line["margin"] for line in lines], dtype=np.float64)


def _per_token(side: dict[str, Any]) -> float:
    return float(side["reward"]) / int(side["tokens"])


def _difference(lines: list[Line], name: str) -> Array:
    return np.array([line["chosen"][name] - line["rejected"][name] for line in lines], dtype=np.float64)


def comparisons(by_row: dict[str, list[Line]]) -> list[dict[str, Any]]:
    """Every two rows on the same pairs: difference in accuracy, sign-flip p-value, Holm's over all of them."""
    right = {row: summaries.concordance(margin(lines)) for row, lines in by_row.items()}
    return compared(right)


def compared(outcomes: dict[str, Array]) -> list[dict[str, Any]]:
    """Paired differences of outcomes in [0, 1], (n,) per name, in points."""
    names = list(combinations(outcomes, 2))
    if not names:
        return []
    differences = np.stack([outcomes[a] - outcomes[b] for a, b in names], axis=1)
    p_values = paired.sign_flip_test(differences)
    adjusted = paired.holm(p_values)
    found = []
    for (a, b), column, p_value, holm in zip(names, differences.T, p_values, adjusted, strict=True):
        interval = difference_interval(column)
        ends = {"low": interval.low, "high": interval.high}
        more = {"p_value": float(p_value), "p_holm": float(holm)}
        found.append({"a": a, "b": b, "difference": 100 * float(column.mean()), **ends, **more})
    return found


def agreement(lines: list[Line], scores: dict[str, float]) -> dict[str, Any] | None:
    """Against another judge's score differences (chosen minus rejected, by id): how often both prefer the same, and the
    rank correlation of margins. None where no pair is shared.
    """
    shared = [line for line in lines if line["id"] in scores]
    if not shared:
        return None
    own = margin(shared)
    other = np.array([scores[line["id"]] for line in shared])
    same = np.where(own * other == 0, 0.5, (np.sign(own) == np.sign(other)).astype(float))
    from harness.analysis.agreement import spearman

    return {"n": len(shared), "same_preference": summaries.share(same), "spearman": spearman(own, other)}
