"""Does V tell a good continuation from a corrupted one of the same prefix, and more than what is already known?

Each pair has one score per side; AUC is the share of pairs whose good side scores higher, ties a half. As both sides
share prompt, prefix and position, this AUC is matched for all three.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis import summaries

Array = np.ndarray
Line = dict[str, Any]
FOLDS = 5
RIDGE = 1.0
KNOWN = ("logprob", "reference_logsumexp")


def scores(line: Line, start: int, beta: float) -> dict[str, float]:
    """The scores of one continuation that leaves its counterpart at response token k = ``start``.

    Means over the states behind it, s_{k+1} … s_{T-1}, of V, of raw logsumexp and of the base's; means over its tokens
    y_k … y_{T-1} of both models' log-probs and of beta d_t.
    """
    inside, tokens = slice(start + 1, len(line["logprob"])), slice(start, None)
    own, other = (np.array(line[name][tokens]) for name in ("logprob", "reference_logprob"))
    return {
        "value": float(np.mean(line["value"][inside])),
        "logsumexp": float(np.mean(line["logsumexp"][inside])),
        "reference_logsumexp": float(np.mean(line["reference_logsumexp"][inside])),
        "logprob": float(own.mean()),
        "reference_logprob": float(other.mean()),
        "reward": float(beta * (own - other).mean()),
    }


def differences(lines: list[Line], pairs: list[Line], beta: float) -> dict[str, Array]:
    """Good minus corrupted per pair, (n_pairs,), for each score."""
    good = [scores(lines[pair["good"]], pair["start"], beta) for pair in pairs]
    bad = [scores(lines[pair["bad"]], pair["start"], beta) for pair in pairs]
    return {name: np.array([a[name] - b[name] for a, b in zip(good, bad, strict=True)]) for name in good[0]}


def estimates(lines: list[Line], pairs: list[Line], beta: float) -> dict[str, Any]:
    """AUC of every score, and of V above the others, intervals clustered by example; also by kind of corruption."""
    found = differences(lines, pairs, beta)
    examples = np.array([pair["id"] for pair in pairs])
    kinds = np.array([pair["kind"] for pair in pairs])
    by_kind = {}
    for kind in sorted(set(kinds)):
        inside = kinds == kind
        by_kind[kind] = _auc({name: each[inside] for name, each in found.items()}, examples[inside])
    return {"pairs": len(pairs), **_auc(found, examples), **_added(found, examples), "by_kind": by_kind}


def _auc(found: dict[str, Array], examples: Array) -> dict[str, Any]:
    right = {name: summaries.concordance(each) for name, each in found.items()}
    auc = {f"auc_{name}": summaries.mean(each, examples) for name, each in right.items()}
    above = {
        f"above_{name}": summaries.mean(right["value"] - right[name], examples)
        for name in ("logprob", "reference_logsumexp", "logsumexp")
    }
    return auc | above


def _added(found: dict[str, Array], examples: Array) -> dict[str, Any]:
    """AUC of log-prob and the base's V together, with V added, and the difference: cross-validated by example."""
    known = _cross_validated(np.stack([found[name] for name in KNOWN], 1), examples)
    all_three = _cross_validated(np.stack([found[name] for name in (*KNOWN, "value")], 1), examples)
    if known is None or all_three is None:
        return {"auc_known": None, "auc_known_and_value": None, "added": None}
    before, after = summaries.concordance(known), summaries.concordance(all_three)
    return {
        "auc_known": summaries.mean(before, examples),
        "auc_known_and_value": summaries.mean(after, examples),
        "added": summaries.mean(after - before, examples),
    }


def _cross_validated(features: Array, examples: Array) -> Array | None:
    """Held-out score differences, (n,), of a logistic fit of within-pair differences (no constant: sides are
    exchangeable); None with fewer examples than folds.
    """
    names, index = np.unique(examples, return_inverse=True)
    if len(names) < FOLDS:
        return None
    fold = np.random.default_rng(0).permutation(len(names))[index] % FOLDS
    found = np.empty(len(features))
    for number in range(FOLDS):
        train, test = fold != number, fold == number
        scale = np.sqrt((features[train] ** 2).mean(0))
        scale[scale == 0] = 1.0
        found[test] = (features[test] / scale) @ logistic(features[train] / scale)
    return found


def logistic(features: Array, steps: int = 50) -> Array:
    """Weights w, (k,), that minimise sum log(1 + exp(-x.w)) + RIDGE |w|^2 / 2 over rows x, by damped Newton steps."""
    w = np.zeros(features.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(np.clip(features @ w, -500, 500)))
        gradient = -features.T @ chance + RIDGE * w
        curvature = (features * (chance * (1 - chance))[:, None]).T @ features + RIDGE * np.eye(len(w))
        step = np.linalg.solve(curvature, gradient)
        w -= step * min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return w
