"""Trained families about letters and casing: initials, upper and lower case."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty, listed
from harness.data.microtasks.pools import Draw, Pool

FRAMES = (
    "The {a} is next to the {b}.",
    "My {a} is older than your {b}.",
    "We left the {a} behind the {b}.",
    "The {a} stood near the {b}.",
    "{name} painted the {a} and the {b}.",
    "{name} asked about the {a} and the {b}.",
)
CASES = {"uppercase": str.upper, "lowercase": str.lower}


def plain_sentence(pool: Pool, draw: Draw) -> str:
    """A short sentence of the split's words."""
    first, second = pool.words("thing", 2)
    return draw.pick(FRAMES).format(a=first, b=second, name=pool.word("name"))


def first_letters(pool: Pool, draw: Draw) -> Task:
    """The first letters of three or four words, as capitals with dashes between."""
    items = pool.words("thing", draw.between(3, 4))
    letters = [item[0].upper() for item in items]
    answer = "-".join(letters)
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={"verifier": "sequence", "items": letters, "separator": "-"},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            "-".join(items),
            listed(letters),
            answer.lower(),
            f"{answer}-{draw.pick('ABCDEFGHKLMNOPRSTW')}",
        ),
    )


def change_case(pool: Pool, draw: Draw) -> Task:
    """A sentence copied in upper or in lower case only."""
    kind = draw.pick(tuple(CASES))
    text = plain_sentence(pool, draw)
    answer = CASES[kind](text)
    other = CASES["lowercase" if kind == "uppercase" else "uppercase"](text)
    return Task(
        values=(kind, text),
        fields={"kind": kind, "text": text},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(chatty(draw, answer), text.title(), other, answer.rstrip(".")),
    )


FAMILIES = (
    Family(
        "first_letters",
        first_letters,
        {
            "train": (
                "Give the first letter of each word in capitals, joined by dashes: {items}. Nothing else.",
                'Take the words {items}. Write only their first letters as capitals with "-" between.',
                "What are the initial letters of {items}? Answer in capitals, joined with dashes.",
                "Make a code from the first letters of {items}: capitals, dashes between, no other text.",
            ),
            "preference": (
                "Reduce each word to its first letter in capitals and join them with dashes: {items}.",
                "For {items}, reply only with the starting letters in capitals, a dash between each two.",
            ),
            "dev": (
                "How do these words begin: {items}? Return the letters in capitals, dash-separated.",
                "Abbreviate {items} to first letters. Capitals, with dashes between, nothing more.",
            ),
            "eval": (
                "Words: {items}. Your answer: the letter each begins with, in upper case, linked by dashes.",
                "Write the initials of the words {items} as capitals with dashes in between and no comment.",
            ),
        },
    ),
    Family(
        "change_case",
        change_case,
        {
            "train": (
                "Rewrite this sentence in {kind}: {text}",
                "Copy the sentence with every letter in {kind}: {text}",
                "{text}\nWrite the line above in {kind}.",
                "Change all letters to {kind} and keep everything else: {text}",
            ),
            "preference": (
                "Repeat this sentence exactly, but entirely in {kind}: {text}",
                "Turn the following into {kind}, adding nothing: {text}",
            ),
            "dev": (
                "Convert this sentence to {kind}: {text}",
                "Make the whole sentence {kind}: {text}",
            ),
            "eval": (
                "Transform this text to {kind} letters: {text}",
                "Sentence: {text}\nGive the {kind} version of it.",
            ),
        },
    ),
)
