"""Drift from the reference: KL per response and per token with standard errors clustered by prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis import summaries
from harness.stats import bootstrap

Line = dict[str, Any]
ESTIMATORS = ("kl", "plain", "non_negative")


def estimates(lines: list[Line]) -> dict[str, Any]:
    """A row's figures from ``samples.jsonl``."""
    prompts = np.array([line["id"] for line in lines])
    tokens = _column(lines, "tokens")
    found: dict[str, Any] = {"n": len(lines), "prompts": len(set(prompts)), "tokens": int(tokens.sum())}
    for name in ESTIMATORS:
        values = _column(lines, name)
        found[name] = summaries.mean(values, prompts)
        found[f"{name}_per_token"] = _per_token(values, tokens, prompts)
    found["mean_tokens"] = float(tokens.mean())
    found["capped"] = 100 * float(np.mean([not line["ended"] for line in lines]))
    return found


def demonstrations(lines: list[Line], beta: float = 1.0) -> dict[str, Any]:
    """Mean sum of d_t per held-out demonstration, and mean d_t per token, from ``rewards.jsonl`` made with ``beta``."""
    sums = np.array([line["reward"] / beta for line in lines])
    tokens = _column(lines, "tokens")
    return {"d": summaries.mean(sums), "d_per_token": summaries.ratio(sums, tokens)}


def _per_token(values: np.ndarray, tokens: np.ndarray, prompts: np.ndarray) -> dict[str, Any]:
    sums, _ = bootstrap.cluster_sums(values, prompts)
    sizes, _ = bootstrap.cluster_sums(tokens, prompts)
    return summaries.ratio(sums, sizes)


def _column(lines: list[Line], name: str) -> np.ndarray:
    return np.array([line[name] for line in lines], dtype=np.float64)
