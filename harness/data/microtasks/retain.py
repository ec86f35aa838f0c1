"""Families of the ``retain`` part: general prompts that the untouched base model passes, checked tolerantly.

A subject belongs to dev or eval by the parity of its SHA-256; each split has its own phrasing.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.data.microtasks import retain_items
from harness.data.microtasks.family import Family, Task
from harness.data.microtasks.pools import Draw, Pool, Split, digest

Subject = tuple[str, list[list[str]]]


def parse(text: str) -> list[Subject]:
    """``subject | a | b & c`` lines as (subject, [[a, b], [c]])."""
    found = []
    for line in text.strip().splitlines():
        subject, _, accepted = line.partition(" | ")
        groups = [[phrase.strip() for phrase in group.split("|")] for group in accepted.split("&")]
        found.append((subject, groups))
    return found


def half(name: str, subjects: list[Subject], split: Split) -> list[Subject]:
    """The subjects of ``name`` that belong to ``split``: every subject is in dev or in eval."""
    parity = {"dev": 0, "eval": 1}[split]
    return [item for item in subjects if digest(f"microtasks/{name}/{item[0]}") % 2 == parity]


def _maker(name: str, text: str, min_words: int) -> Callable[[Pool, Draw], Task]:
    subjects = parse(text)

    def make(pool: Pool, draw: Draw) -> Task:
        subject, groups = draw.pick(half(name, subjects, pool.split))
        check = {"verifier": "mentions", "groups": groups, "min_words": min_words}
        return Task(values=(subject,), fields={"subject": subject}, check=check)

    return make


def _family(name: str, text: str, min_words: int, dev: str, evaluation: str) -> Family:
    return Family(name, _maker(name, text, min_words), {"dev": (dev,), "eval": (evaluation,)}, "retain")


FAMILIES = (
    _family(
        "capital_city",
        retain_items.CAPITALS,
        1,
        "What is the capital of {subject}?",
        "Which city is the capital of {subject}?",
    ),
    _family("question", retain_items.QUESTIONS, 1, "{subject}", "Please answer this question. {subject}"),
    _family("explain", retain_items.EXPLAIN, 10, "Explain briefly: what is {subject}?", "What is {subject}?"),
    _family(
        "paragraph",
        retain_items.TOPICS,
        20,
        "Write a short paragraph about {subject}.",
        "Write three or four sentences about {subject}.",
    ),
    _family(
        "past_tense",
        retain_items.PAST_TENSE,
        2,
        "Rewrite this sentence in the past tense: {subject}",
        "Change this sentence to the past tense. {subject}",
    ),
)
