"""Families that are never trained (part ``out``): what was learnt has to carry over to another form."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, listed, with_article
from harness.data.microtasks.letters import FRAMES
from harness.data.microtasks.pools import Draw, Pool


def table_row(pool: Pool, draw: Draw) -> Task:
    """Three words as one row of a table with bars."""
    items = [pool.word("name"), pool.word("city"), pool.word("food")]
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={
            "verifier": "sequence",
            "items": items,
            "separator": "|",
            "opening": "|",
            "closing": "|",
            "any_case": True,
        },
    )


def reverse_list(pool: Pool, draw: Draw) -> Task:
    """Three words in reverse order with semicolons."""
    items = pool.words(draw.pick(("thing", "animal", "food")), 3)
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={"verifier": "sequence", "items": items[::-1], "separator": ";", "any_case": True},
    )


def list_member(pool: Pool, draw: Draw) -> Task:
    """Whether a word is in a list: yes or no."""
    *items, other = pool.words(draw.pick(("thing", "animal", "food")), 5)
    present = draw.pick((True, False))
    return Task(
        values=(present, *items, other),
        fields={"items": listed(items), "word": draw.pick(items) if present else other},
        check={"verifier": "opens_with", "accept": ["yes" if present else "no"]},
    )


def definition(pool: Pool, draw: Draw) -> Task:
    """One sentence that says what something is."""
    thing = pool.word("thing")
    return Task(
        values=(thing,),
        fields={"thing": thing, "one": with_article(thing)},
        check={"verifier": "sentence", "contains": [thing], "min_words": 4, "max_words": 25},
    )


def replace_word(pool: Pool, draw: Draw) -> Task:
    """A sentence with one word replaced."""
    first, second, new = pool.words("thing", 3)
    text = draw.pick(FRAMES).format(a=first, b=second, name=pool.word("name"))
    return Task(
        values=(text, new),
        fields={"text": text, "old": first, "new": new},
        check={"verifier": "exact", "accept": [text.replace(f" {first} ", f" {new} ")]},
    )


def numbered_list(pool: Pool, draw: Draw) -> Task:
    """The offered words as a numbered list."""
    items = pool.words(draw.pick(("thing", "animal", "food")), draw.between(3, 5))
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={
            "verifier": "bullets",
            "count": len(items),
            "allowed": items,
            "marker": "1.",
            "in_order": True,
        },
    )


FAMILIES = (
    Family(
        "table_row",
        table_row,
        {
            "dev": (
                "Write {items} as one table row with bars, like | x | y | z |. Only the row.",
                "Make a single Markdown table row out of {items}. It starts and ends with a bar.",
            ),
            "eval": (
                "Turn {items} into one line of a table: | between the cells and at both ends, no header.",
                "Format as a table row, for example | x | y | z |, with no other lines: {items}",
            ),
        },
        "out",
    ),
    Family(
        "reverse_list",
        reverse_list,
        {
            "dev": (
                "Write these words in reverse order, separated by semicolons: {items}. Nothing else.",
                "Last one first: put {items} backwards on one line with semicolons between the words.",
            ),
            "eval": (
                "Reverse the order of {items}. One line, semicolons between the words, no other text.",
                'Give the list {items} from its end to its start, with ";" between words and no comment.',
            ),
        },
        "out",
    ),
    Family(
        "list_member",
        list_member,
        {
            "dev": (
                "Is {word} in this list: {items}? Answer yes or no.",
                "List: {items}. Does the list contain {word}? Begin with yes or no.",
            ),
            "eval": (
                "Look at {items}. Can you find {word} there? Start with yes or no.",
                "Does {word} appear in the list {items}? Let the answer open with yes or no.",
            ),
        },
        "out",
    ),
    Family(
        "definition",
        definition,
        {
            "dev": (
                "What is {one}? Answer in one sentence of at most 25 words.",
                "Define the word {thing} in one sentence, using no more than 25 words.",
            ),
            "eval": (
                "Explain in a single sentence of up to 25 words what {one} is.",
                "In one sentence (25 words or fewer): what does {thing} mean?",
            ),
        },
        "out",
    ),
    Family(
        "replace_word",
        replace_word,
        {
            "dev": (
                "Replace the word {old} with {new} and give only the new sentence: {text}",
                "Sentence: {text}\nWrite it again with {new} instead of {old}.",
            ),
            "eval": (
                "Copy this sentence but change {old} to {new}; add nothing: {text}",
                "Swap {old} for {new} in the sentence and return just the result. {text}",
            ),
        },
        "out",
    ),
    Family(
        "numbered_list",
        numbered_list,
        {
            "dev": (
                "Write {items} as a numbered list, one word per line, keeping the order. No other text.",
                'Number these from 1 on, each on its own line like "1. word": {items}.',
            ),
            "eval": (
                "Make a numbered list (1., 2., ...) of {items} in this order and nothing besides.",
                "Put {items} on separate lines, each with its number and a full stop before it.",
            ),
        },
        "out",
    ),
)
