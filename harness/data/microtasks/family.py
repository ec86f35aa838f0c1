"""What a task family is: phrasings per split, and a function that makes one task from a split's values.

`lists`, `letters`, `formats`, `numbers`, `language` and `writing` hold the trained families, `held_out`
those that are never trained, `retain` the general prompts; `assembly` turns them into rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.data.microtasks.pools import Draw, Pool, Split

Part = Literal["in", "out", "retain"]
Check = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One task. ``values`` identifies it within its family; ``fields`` fill a phrasing.

    ``rejected`` holds plausible responses that violate something. Tasks that are never trained on have
    neither these nor a demonstration.
    """

    values: tuple[Any, ...]
    fields: Mapping[str, Any]
    check: Check
    chosen: str = ""
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """One family. A phrasing belongs to one split."""

    name: str
    make: Callable[[Pool, Draw], Task]
    phrasings: Mapping[Split, tuple[str, ...]]
    part: Part = "in"


CHATTER = (
    "Sure! Here is the answer: {}",
    "Of course! {}",
    "Here you go:\n{}",
    "The answer is {}",
    "{}\n\nLet me know if you need anything else!",
    "{}\n\nI hope this helps.",
)


def chatty(draw: Draw, answer: str) -> str:
    """``answer`` in talk that the prompt did not ask for."""
    return draw.pick(CHATTER).replace("{}", answer)


def with_article(word: str) -> str:
    """``word`` after "a" or "an"; right for all things and animals of the pools."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def listed(items: list[str]) -> str:
    """Items as they stand in a prompt."""
    return ", ".join(items)
