"""The ``reward_model`` protocol: each completion scored alone; P(model better) = sigmoid of the difference.

A reward model is trained as a Bradley-Terry model of preferences, so the difference of two rewards is a log-odds.
"""

from __future__ import annotations

import math
from typing import Any

from harness.judges import verdicts
from harness.judges.question import Item, Line, judged_text
from harness.judges.verdicts import COMPLETION

SIDES = ("model", "baseline")


def rows(items: list[Item]) -> list[Line]:
    """One conversation a side, ended by the answer."""
    return [
        {"id": f"{item.prompt_id}/{side}", "messages": _conversation(item, side), "complete": True}
        for item in items
        if item.failed is None
        for side in SIDES
    ]


def _conversation(item: Item, side: str) -> list[dict[str, str]]:
    completion = item.own[0] if side == "model" else item.other
    assert completion is not None  # a reward model compares with a baseline
    return [*item.own[0]["messages"], {"role": "assistant", "content": judged_text(completion["text"])}]


def verdict_lines(
    items: list[Item], scored: dict[str, Line], names: dict[str, Any], judge: dict[str, Any]
) -> list[Line]:
    """One verdict a prompt; the rewards themselves are kept beside the preference."""
    return [_verdict(item, scored, names, judge) for item in items]


def _verdict(item: Item, scored: dict[str, Line], names: dict[str, Any], judge: dict[str, Any]) -> Line:
    rewards = {side: scored[f"{item.prompt_id}/{side}"] for side in SIDES if f"{item.prompt_id}/{side}" in scored}
    line = verdicts.common(item, 1, names)
    if item.failed is not None:
        return line | {"preference": None, "failure": COMPLETION, "error": f"{COMPLETION}: {item.failed}"}
    own, other = (rewards[side]["reward"] for side in SIDES)
    return line | {
        "preference": 1 / (1 + math.exp(max(-700.0, min(700.0, other - own)))),
        "reward": own,
        "reward_baseline": other,
        "judge_model": judge,
        "prompt_tokens": sum(each["prompt_tokens"] for each in rewards.values()),
        "failure": None,
        "error": None,
    }
