"""Seeded draws and the partition of every value between the splits.

A value (a word, a number) belongs to one split for good, whatever the seed: words are ranked by their
SHA-256 and cut by fixed shares, numbers placed by theirs. Families draw values only through `Pool`, so one
seen in training cannot come up in dev or eval. Of `random` only ``Random.random`` is used, because Python
promises the same numbers from it in every version.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeVar, get_args

from harness.data.microtasks import words

Split = Literal["train", "preference", "dev", "eval"]
SPLITS: tuple[Split, ...] = get_args(Split)
# Upper ends of each split's part of a ranked pool.
BOUNDS: dict[Split, tuple[float, float]] = {
    "train": (0.0, 0.4),
    "preference": (0.4, 0.6),
    "dev": (0.6, 0.8),
    "eval": (0.8, 1.0),
}
T = TypeVar("T")


def digest(text: str) -> int:
    """SHA-256 of ``text`` as an integer."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


@cache
def share(name: str, values: tuple[T, ...], split: Split) -> tuple[T, ...]:
    """The part of the pool ``name`` that belongs to ``split``, in ranked order."""
    ranked = sorted(values, key=lambda value: digest(f"microtasks/{name}/{value}"))
    low, high = BOUNDS[split]
    return tuple(ranked[round(low * len(ranked)) : round(high * len(ranked))])


def number_split(number: int) -> Split:
    """The split that owns ``number``, in every family and range."""
    place = digest(f"microtasks/number/{number}") / 2**256
    return next(split for split, (_, high) in BOUNDS.items() if place < high)


class Draw:
    """A source of choices that a text seeds."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(digest(seed))

    def below(self, bound: int) -> int:
        """An integer in [0, bound)."""
        return int(self._random.random() * bound)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both included. For parameters, not for values: it knows no splits."""
        return low + self.below(high - low + 1)

    def pick(self, values: Sequence[T]) -> T:
        """One of ``values``."""
        return values[self.below(len(values))]

    def sample(self, values: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of ``values``, in random order."""
        rest = list(values)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]


class Pool:
    """What one split may draw."""

    def __init__(self, split: Split, draw: Draw) -> None:
        self.split = split
        self.draw = draw

    def kind(self, kind: str) -> tuple[str, ...]:
        """All words of a kind (see `words.KINDS`) that belong to this split."""
        return share(kind, words.KINDS[kind], self.split)

    def word(self, kind: str) -> str:
        """One word of a kind."""
        return self.draw.pick(self.kind(kind))

    def words(self, kind: str, count: int) -> list[str]:
        """``count`` different words of a kind."""
        return self.draw.sample(self.kind(kind), count)

    def number(self, low: int, high: int) -> int:
        """One of this split's integers in [low, high]."""
        return self.draw.pick([n for n in range(low, high + 1) if number_split(n) == self.split])

    def own(self, name: str, values: tuple[T, ...]) -> tuple[T, ...]:
        """The part of a family's own pool of ``values`` that belongs to this split."""
        return share(name, values, self.split)
