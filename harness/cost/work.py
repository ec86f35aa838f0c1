"""A stage → how many tokens it handles and how many floating-point operations that takes.

Dense transformers: a forward pass costs 2 operations per parameter and token, a backward pass 4 (Kaplan et al. 2020,
section 2.1); attention's share, which grows with length, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.cost.settings import Assumptions, Prompts, Rows
from harness.stage import Stage

FORWARD, TRAIN = 2, 6


@dataclass(frozen=True)
class Work:
    """``seconds`` of one GPU follow from ``operations`` and the share of the peak that this kind reaches."""

    tokens: float
    operations: float
    decodes: bool = False


def of(stage: Stage, assumptions: Assumptions, max_length: int, prompts: dict[str, Prompts]) -> Work | None:
    """The work of a train, reference or generate stage; None for kinds that need no GPU worth counting.

    ``prompts`` maps the key of a prompts stage to its benchmark's figures.
    """
    size = assumptions.model.parameters
    if stage.kind == "generate":
        found = prompts[stage.inputs["prompts"].key]
        made = found.prompts * found.turns * found.completion_tokens
        read = found.prompts * found.turns * found.prompt_tokens
        return Work(made + read, FORWARD * size * made, decodes=True)
    if stage.kind == "reference":
        tokens = _tokens(stage, _rows(stage, assumptions), max_length)
        return Work(tokens, FORWARD * size * tokens)
    if stage.kind == "train":
        tokens = _trained(stage, _rows(stage, assumptions), max_length)
        return Work(tokens, TRAIN * size * tokens)
    return None


def _rows(stage: Stage, assumptions: Assumptions) -> Rows:
    if stage.inputs["data"].identity["format"] == "sft":
        return assumptions.sft
    assert assumptions.preference is not None  # estimate.check has refused a recipe without
    return assumptions.preference


def _tokens(stage: Stage, rows: Rows, max_length: int) -> float:
    """Tokens of one pass over the data; a pair is two texts, each cut at ``max_length``."""
    sides = 1 if stage.inputs["data"].identity["format"] == "sft" else 2
    return rows.rows * min(rows.tokens, sides * max_length)


def _trained(stage: Stage, rows: Rows, max_length: int) -> float:
    every = _tokens(stage, rows, max_length)
    steps = math.ceil(rows.rows / stage.identity["batch_size"]) * stage.identity["epochs"]
    if stage.identity["max_steps"]:
        steps = min(steps, stage.identity["max_steps"])
    return every * steps * stage.identity["batch_size"] / rows.rows
