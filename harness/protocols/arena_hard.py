"""Arena-Hard-Auto v0.1 and v2: two games a question with positions swapped, five labels.

Game 1 shows the baseline as assistant A, game 2 the model. A "much better" counts as three identical battles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Version = Literal["v0.1", "v2"]
Winner = Literal["model_a", "model_b", "tie"]

LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
STRONG_WEIGHT = 3

_DOUBLE = re.compile(r"\[\[([AB<>=]+)\]\]")
_SINGLE = re.compile(r"\[([AB<>=]+)\]")
_MIRRORED = {"A<B": "B>A", "A<<B": "B>>A", "B<A": "A>B", "B<<A": "A>>B", "B=A": "A=B"}


def parse_v01(text: str) -> str | None:
    """v0.1: the label between double brackets, if all that occur are one and the same; else None.

    Something in brackets that is none of the five labels scores nothing there, so it is None here.
    """
    found = set(_DOUBLE.findall(text))
    return _known(found.pop()) if len(found) == 1 else None


def parse_v2(text: str) -> str | None:
    """v2: the last label between double brackets, else between single ones, in either case of letters.

    Labels written from the other side (``B<A``) are returned in the five labels' form.
    """
    for pattern in (_DOUBLE, _SINGLE):
        found = pattern.findall(text.upper())
        if found:
            return _known(_MIRRORED.get(found[-1], found[-1]))
    return None


def parse_strict(text: str) -> str | None:
    """Exactly one distinct value between double brackets, and it is one of the five labels; else None."""
    found = {match.strip() for match in re.findall(r"\[\[([^\[\]]*)\]\]", text)}
    return _known(found.pop()) if len(found) == 1 else None


def _known(label: str) -> str | None:
    return label if label in LABELS else None


PARSERS: dict[Version, Callable[[str], str | None]] = {"v0.1": parse_v01, "v2": parse_v2}


@dataclass(frozen=True)
class Outcome:
    """A label seen from the model: its preference (0, 0.5 or 1) and how many battles it counts as."""

    preference: float
    weight: int


def outcome(label: str, game: int, strong_weight: int = STRONG_WEIGHT) -> Outcome:
    """``game`` 1 shows the baseline as A, 2 the model. Raises KeyError for anything but the five labels."""
    for_a, weight = {
        "A>>B": (1.0, strong_weight),
        "A>B": (1.0, 1),
        "A=B": (0.5, 1),
        "B>A": (0.0, 1),
        "B>>A": (0.0, strong_weight),
    }[label]
    return Outcome(for_a if game == 2 else 1.0 - for_a, weight)


def battles(labels: Sequence[str | None], strong_weight: int = STRONG_WEIGHT) -> list[Winner]:
    """Battle rows of one question, labels in game order, with model_a = the baseline; a missing label has none."""
    rows: list[Winner] = []
    for game, label in enumerate(labels, 1):
        if label is not None:
            found = outcome(label, game, strong_weight)
            rows += [winner(found.preference)] * found.weight
    return rows


def winner(preference: float) -> Winner:
    """The word of a battle row for a preference for the model (model_b)."""
    if preference == 0.5:
        return "tie"
    return "model_b" if preference > 0.5 else "model_a"


PREFERENCES: dict[str, float] = {"model_a": 0.0, "model_b": 1.0, "tie": 0.5, "tie (bothbad)": 0.5}
"""A battle row's winner as a preference for model_b."""
