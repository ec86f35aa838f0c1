"""AlpacaEval 2 (`alpaca_eval` 0.6.6, judge configuration ``weighted_alpaca_eval_gpt4_turbo``).

In its scale x = 1 means that output_1 (the baseline) is better, 2 that output_2 (the model) is, 1.5 a draw.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

FIRST = "m"
SECOND = "M"
DRAW = 1.5


def is_switched(instruction: str, seed: int = 0) -> bool:
    """Whether the prompt shows the model's output first; depends on the instruction alone, not on the outputs."""
    generator = random.Random(f"is_switched_outputs{instruction}{seed}")
    return generator.choices([False, True], k=1)[0]


def without_call(output_1: str, output_2: str) -> float | None:
    """1.5 for identical outputs, which are not sent to the judge; None where a call is needed."""
    return DRAW if output_1 == output_2 else None


def shown_preference(top_logprobs: Mapping[str, float], first: str = FIRST, second: str = SECOND) -> float | None:
    """x in [1, 2] of the outputs as shown: 2 - P(first) / (P(first) + P(second)), from exact tokens.

    ``top_logprobs`` maps the first position's most likely tokens to natural log-probabilities. A label that is
    not among them counts as probability 0; without both there is no verdict (None).
    """
    found = {label: top_logprobs[label] for label in (first, second) if label in top_logprobs}
    if not found or all(value == -math.inf for value in found.values()):
        return None
    # the two labels' share through their difference: no underflow where both are unlikely
    difference = found.get(second, -math.inf) - found.get(first, -math.inf)
    return 2.0 - _logistic(-difference)


def _logistic(value: float) -> float:
    if value < 0:
        grown = math.exp(value)
        return grown / (1 + grown)
    return 1 / (1 + math.exp(-value))


def unswitched(shown: float, switched: bool) -> float:
    """x of (baseline, model) from x as shown."""
    return 3.0 - shown if switched else shown


def preference(top_logprobs: Mapping[str, float], instruction: str, seed: int = 0) -> float | None:
    """x of (baseline, model) in [1, 2], or None: the parser and the order rule together."""
    shown = shown_preference(top_logprobs)
    return None if shown is None else unswitched(shown, is_switched(instruction, seed))


def label_mass(top_logprobs: Mapping[str, float], first: str = FIRST, second: str = SECOND) -> float:
    """P(first) + P(second): how much of the judge's answer was a verdict at all."""
    return sum(math.exp(top_logprobs[label]) for label in (first, second) if label in top_logprobs)


def top_logprobs(raw_completion: Any, position: int = 0) -> dict[str, float] | None:
    """The stored completion's log-probs at one position, token to value; None where it has none."""
    try:
        entries: Sequence[Mapping[str, Any]] = raw_completion["logprobs"]["content"][position]["top_logprobs"]
    except (KeyError, IndexError, TypeError):
        return None
    return {str(entry["token"]): float(entry["logprob"]) for entry in entries}
