"""MT-Bench: single-answer grading, 80 questions of two turns, a rating of 1 to 10 between double brackets."""

from __future__ import annotations

import re

LOWEST, HIGHEST = 1.0, 10.0
TURNS = (1, 2)
MISSING_SCORE = -1
"""What the original stores for a judgment without a rating; its mean drops these silently."""

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
REFERENCE_CATEGORIES = frozenset({"math", "reasoning", "coding"})
"""Categories whose judge sees a reference answer."""

_DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_SINGLE = re.compile(r"\[(\d+\.?\d*)\]")


def parse(judgment: str) -> float | None:
    """The original's rule: the first ``[[n]]``, else the first ``[n]``; else None. Give it the judgment alone.

    Prompts contain ``[[5]]`` too.
    """
    found = _DOUBLE.search(judgment) or _SINGLE.search(judgment)
    return float(found.group(1)) if found else None


def parse_strict(judgment: str) -> float | None:
    """Exactly one distinct ``[[n]]``, between 1 and 10; else None."""
    found = {float(number) for number in _DOUBLE.findall(judgment)}
    rating = found.pop() if len(found) == 1 else None
    return rating if rating is not None and LOWEST <= rating <= HIGHEST else None
