"""A reward model beside the implicit rewards: a sequence-classification checkpoint scores the same pairs.

convert (the model) ─► tokenize (conversations) ─► scores ─► `estimation`
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis import rewards, stages, summaries
from harness.config import DataSource
from harness.judges.settings import RewardModelJudge
from harness.judging import Judging
from harness.stage import Stage
from harness.store import Store

NAME = "reward model"
Line = dict[str, Any]
SIDES = ("chosen", "rejected")


def stage(reference: str, source: DataSource, pairs: list[Line], store: Store, device: str) -> Stage:
    """The stage that scores both responses of every pair. Raises ConfigError for a model that is not there."""
    judge = RewardModelJudge(protocol="reward_model", model=reference, sha256=None)
    judging = Judging(judge, device, store.root / "downloads")
    assert judging.model is not None
    asked = stages.tokenised(source, conversations(pairs), "prompts", judging.model, judge.max_length)
    inputs = {"model": judging.model, "prompts": asked}
    return Stage("scores", f"{NAME} {reference}", judging.serving(), inputs, {"kv_cache_gib": 0.0})


def conversations(pairs: list[Line]) -> list[Line]:
    """A conversation per response, ended by it: ``{id: PAIR/SIDE, messages, complete}``."""
    return [
        {
            "id": f"{pair['id']}/{side}",
            "messages": [*pair["prompt"], {"role": "assistant", "content": pair[side]}],
            "complete": True,
        }
        for pair in pairs
        for side in SIDES
    ]


def differences(scored: list[Line]) -> dict[str, float]:
    """Pair → reward(chosen) - reward(rejected), from the lines of a scores stage."""
    found = {line["id"]: float(line["reward"]) for line in scored}
    pairs = [name.removesuffix("/chosen") for name in found if name.endswith("/chosen")]
    return {pair: found[f"{pair}/chosen"] - found[f"{pair}/rejected"] for pair in pairs if f"{pair}/rejected" in found}


def against(scored: list[Line], lines: dict[str, list[Line]]) -> dict[str, Any]:
    """The model's own accuracy on the pairs, its agreement with each row, and it among the rows that are compared.

    Pairs that only one side has (too long for the other) are left out of a comparison and counted by its ``n``.
    """
    scores = differences(scored)
    margins = np.array(list(scores.values()))
    shared = {name: [line for line in each if line["id"] in scores] for name, each in lines.items()}
    right = {name: summaries.concordance(rewards.margin(each)) for name, each in shared.items()}
    first = next(iter(shared.values()))
    right[NAME] = summaries.concordance(np.array([scores[line["id"]] for line in first]))
    return {
        "comparisons": rewards.compared(right),
        "reward_model": {
            "n": len(margins),
            "accuracy": summaries.share(summaries.concordance(margins)),
            "margin": summaries.mean(margins),
            "agreement": {name: rewards.agreement(each, scores) for name, each in lines.items()},
        },
    }
