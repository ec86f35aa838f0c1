"""Trained families about letters and casing: initials, spelling, capital and small letters."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty, listed
from harness.data.microtasks.pools import Draw, Pool

FRAMES = (
    "The {a} is next to the {b}.",
    "My {a} is older than your {b}.",
    "We left the {a} behind the {b}.",
    "A {a} stood near the {b}.",
    "{name} drew a {a} and a {b}.",
    "{name} asked about the {a} and the {b}.",
)
CASES = {"capital": str.upper, "small": str.lower}


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
    """A sentence copied in capital or in small letters only."""
    kind = draw.pick(tuple(CASES))
    text = plain_sentence(pool, draw)
    answer = CASES[kind](text)
    other = CASES["small" if kind == "capital" else "capital"](text)
    return Task(
        values=(kind, text),
        fields={"kind": kind, "text": text},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(chatty(draw, answer), text.title(), other, answer.rstrip(".")),
    )


def spell_out(pool: Pool, draw: Draw) -> Task:
    """A word of at most six letters, spelled with dashes."""
    short = [word for kind in ("thing", "animal", "food") for word in pool.kind(kind) if len(word) <= 6]
    word = draw.pick(short)
    answer = "-".join(word)
    return Task(
        values=(word,),
        fields={"word": word},
        check={"verifier": "sequence", "items": list(word), "separator": "-"},
        chosen=answer,
        rejected=(chatty(draw, answer), " ".join(word), answer[:-2], "-".join(word.upper()), word),
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
                "Rewrite this sentence in {kind} letters only: {text}",
                "Copy the sentence with every letter as a {kind} letter, and write nothing else: {text}",
                "{text}\nWrite the line above using only {kind} letters.",
                "Change all letters to {kind} letters and keep everything else: {text}",
            ),
            "preference": (
                "Repeat this sentence exactly, but entirely in {kind} letters: {text}",
                "Turn the following into {kind} letters, adding nothing: {text}",
            ),
            "dev": (
                "Here is a sentence: {text} Reply with the same sentence, all in {kind} letters.",
                "Using {kind} letters throughout, type this again: {text}",
            ),
            "eval": (
                "Convert to {kind} letters and return just the result: {text}",
                "Sentence: {text}\nAnswer with the sentence where all letters are {kind} letters.",
            ),
        },
    ),
    Family(
        "spell_out",
        spell_out,
        {
            "train": (
                "Spell the word {word} with a dash between the letters. Nothing else.",
                "Write {word} letter by letter in small letters, joined by dashes.",
                "How do you spell {word}? Answer only with the letters, separated by dashes.",
                'Put a dash between all letters of "{word}" and give just that.',
            ),
            "preference": (
                "Split {word} into letters with dashes between them; write no other text.",
                "Return the letters of {word}, small, in order, a dash between each two.",
            ),
            "dev": (
                "Break the word {word} into its letters. Use dashes between letters and say nothing more.",
                "Type out {word} one letter at a time, with dashes in between, as your only answer.",
            ),
            "eval": (
                "Separate every letter in {word} with a dash. Reply with the result alone.",
                "The word is {word}. Give its letters in small type, dash after dash, with no explanation.",
            ),
        },
    ),
)
