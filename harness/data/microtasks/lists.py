"""Trained families about lists: choose exactly N, sort, repeat."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty, listed
from harness.data.microtasks.pools import Draw, Pool

KINDS = ("thing", "animal", "food")


def pick_some(pool: Pool, draw: Draw) -> Task:
    """Exactly ``n`` of the offered words, each on its own line after a dash."""
    items = pool.words(draw.pick(KINDS), 6)
    n = draw.between(2, 4)
    taken = items[:n]
    answer = "\n".join(f"- {item}" for item in taken)
    return Task(
        values=(n, *items),
        fields={"n": n, "items": listed(items)},
        check={"verifier": "bullets", "count": n, "allowed": items},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            f"{answer}\n- {items[n]}",
            "\n".join(f"{number}. {item}" for number, item in enumerate(taken, 1)),
            listed(taken),
        ),
    )


def sort_words(pool: Pool, draw: Draw) -> Task:
    """Three or four words in alphabetical order, on one line with commas."""
    items = pool.words(draw.pick(KINDS), draw.between(3, 4))
    while len({item[0] for item in items}) < len(items) or items == sorted(items):
        items = pool.words(draw.pick(KINDS), len(items))
    answer = listed(sorted(items))
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={"verifier": "sequence", "items": sorted(items), "separator": ",", "any_case": True},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            listed(items),
            "\n".join(f"- {item}" for item in sorted(items)),
            listed(sorted(items)[:-1]),
        ),
    )


def repeat_word(pool: Pool, draw: Draw) -> Task:
    """One word exactly ``n`` times, with blanks between."""
    word, n = pool.word(draw.pick(KINDS)), draw.between(2, 5)
    answer = " ".join([word] * n)
    return Task(
        values=(word, n),
        fields={"word": word, "n": n},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            f"{answer} {word}",
            listed([word] * n),
            "\n".join(f"{number}. {word}" for number in range(1, n + 1)),
        ),
    )


FAMILIES = (
    Family(
        "pick_some",
        pick_some,
        {
            "train": (
                "Choose exactly {n} of these: {items}. Put each on its own line after a dash.",
                "From the words {items}, pick {n}. Answer only with a dash list, one word a line.",
                'Here are six words: {items}. List {n} of them, one per line, each line starting with "- ".',
                "Give me {n} words from this list, each on a line after a dash: {items}. No other text.",
            ),
            "preference": (
                'Take {n} of these and write them as lines that begin with "- ": {items}.',
                "Select {n} words, each after a dash on a line of its own. The words: {items}.",
            ),
            "dev": (
                "Words: {items}. Reply with any {n} as {n} lines, every line a dash and one word.",
                "I need {n} items out of {items}. Write only a list with dashes, one item per line.",
            ),
            "eval": (
                "Out of {items}, name any {n}. Format: one word per line with a dash in front, no comments.",
                "Make a list of {n} entries taken from: {items}. Begin each line with a dash; add nothing.",
            ),
        },
    ),
    Family(
        "sort_words",
        sort_words,
        {
            "train": (
                "Sort these words alphabetically: {items}. Reply with one line, separated by commas.",
                "Put {items} in alphabetical order. Answer only with the words, commas between them.",
                "Alphabetical order, please: {items}. Write just the sorted words on one line with commas.",
                "Arrange {items} from A to Z. Give a single comma-separated line and nothing else.",
            ),
            "preference": (
                "Order these words as a dictionary would: {items}. One line, separated by commas.",
                "Words: {items}. Return them sorted from A to Z as one line with commas, no other text.",
            ),
            "dev": (
                "Which order would {items} have in a dictionary? Answer with one comma-separated line only.",
                "Rearrange the following alphabetically and write nothing but the words and commas: {items}",
            ),
            "eval": (
                "List {items} in A-to-Z order, as one line in which commas separate the words.",
                "Please alphabetize: {items}. Respond with the words alone, commas in between, in one line.",
            ),
        },
    ),
    Family(
        "repeat_word",
        repeat_word,
        {
            "train": (
                "Write the word {word} exactly {n} times on one line, separated by spaces. Nothing else.",
                'Repeat "{word}" {n} times with a space between. Give no other text.',
                "Say {word} {n} times in a row, using only spaces in between.",
                "Your answer must be the word {word}, {n} times, with single spaces, and nothing more.",
            ),
            "preference": (
                "Type {word} {n} times on a single line with spaces between, and add nothing.",
                'Print "{word}" {n} times, separated by blanks only.',
            ),
            "dev": (
                "I want to read {word} {n} times. One line, spaces between the words, no other words.",
                "Output {n} copies of the word {word} with a space between copies and nothing around them.",
            ),
            "eval": (
                "Reply with {n} times the word {word}: a single line, separated by spaces, no extra text.",
                "Answer by writing {word} over and over, {n} times in total, on one line with only spaces.",
            ),
        },
    ),
)
