"""Trained families about numbers: small arithmetic, counting, comparing, each with a stated answer format."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty, listed
from harness.data.microtasks.pools import Draw, Pool

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")


def small_sum(pool: Pool, draw: Draw) -> Task:
    """A sum or difference of small numbers, as ``Answer: <number>``."""
    a, b = pool.number(10, 99), draw.between(1, 9)
    sign = draw.pick("+-")
    result = a + b if sign == "+" else a - b
    answer = f"Answer: {result}"
    return Task(
        values=(a, sign, b),
        fields={"sum": f"{a} {sign} {b}"},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(
            chatty(draw, str(result)),
            str(result),
            f"{a} {sign} {b} = {result}",
            f"Answer: {result + draw.pick((-10, -1, 1, 10))}",
            f"Answer: {result}.",
        ),
    )


def count_items(pool: Pool, draw: Draw) -> Task:
    """The number of items in a list, as ``Count: <number>``."""
    items = pool.words(draw.pick(("thing", "animal", "food")), draw.between(2, 6))
    n = len(items)
    answer = f"Count: {n}"
    return Task(
        values=tuple(items),
        fields={"items": listed(items)},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            str(n),
            f"There are {n} words.",
            f"Count: {WORDS[n]}",
            f"Count: {n + draw.pick((-1, 1))}",
        ),
    )


def larger_number(pool: Pool, draw: Draw) -> Task:
    """The larger (or smaller) of two numbers, as digits alone."""
    a, b = pool.number(10, 999), pool.number(10, 999)
    while a == b:
        b = pool.number(10, 999)
    kind = draw.pick(("larger", "smaller"))
    right, wrong = (max(a, b), min(a, b)) if kind == "larger" else (min(a, b), max(a, b))
    return Task(
        values=(kind, a, b),
        fields={"kind": kind, "a": a, "b": b},
        check={"verifier": "short_answer", "accept": [str(right)]},
        chosen=str(right),
        rejected=(
            chatty(draw, str(right)),
            str(wrong),
            f"{right} is {kind} than {wrong}.",
            f"The {kind} number is {right}.",
        ),
    )


FAMILIES = (
    Family(
        "small_sum",
        small_sum,
        {
            "train": (
                'What is {sum}? Reply in the form "Answer: <number>".',
                'Calculate {sum}. Write only "Answer: " and the result.',
                "{sum} = ? Give one line: Answer: followed by the number.",
                "Work out {sum} and respond exactly like this: Answer: NUMBER",
            ),
            "preference": (
                'Compute {sum}. Your reply is "Answer: " with the number after it and nothing more.',
                "How much is {sum}? Use the format Answer: NUMBER.",
            ),
            "dev": (
                'Solve {sum}; write the result as "Answer: <number>" without any other words.',
                "Find {sum}. The reply has to look like Answer: NUMBER",
            ),
            "eval": (
                'Please evaluate {sum} and state it as "Answer: " plus the number, in a single line.',
                "{sum} makes what? Stick to the format Answer: NUMBER and stop there.",
            ),
        },
    ),
    Family(
        "count_items",
        count_items,
        {
            "train": (
                'How many words are in this list: {items}? Reply in the form "Count: <number>".',
                'Count the items: {items}. Write only "Count: " and the number in digits.',
                "List: {items}. Say how many entries it has, exactly like this: Count: NUMBER",
                "Give the number of words as one line, Count: followed by digits. Words: {items}",
            ),
            "preference": (
                "How long is the list {items}? Use the format Count: NUMBER and nothing else.",
                'Number of items in {items}? Your reply is "Count: " with the digits after it.',
            ),
            "dev": (
                "Tell me how many things are named here: {items}. The reply has to look like Count: NUMBER",
                'Tally these: {items}. Write the result as "Count: <number>" without any other words.',
            ),
            "eval": (
                "{items}: how many are they? Stick to the format Count: NUMBER and stop there.",
                'Please count the entries of {items} and state it as "Count: " plus the digits.',
            ),
        },
    ),
    Family(
        "larger_number",
        larger_number,
        {
            "train": (
                "Which number is {kind}, {a} or {b}? Reply with the number only.",
                "Write the {kind} of {a} and {b}. Just the digits.",
                "Of the numbers {a} and {b}, give only the {kind} one.",
                "Numbers: {a}, {b}. Answer with the {kind} number and nothing else.",
            ),
            "preference": (
                "Pick the {kind} number: {a} or {b}. No words, only digits.",
                "{a} or {b}: which is {kind}? Return that number alone.",
            ),
            "dev": (
                "Compare {a} with {b} and reply with only the {kind} number.",
                "Between {a} and {b}, what is the {kind} number? Digits only, please.",
            ),
            "eval": (
                "Take {a} and {b}. State the {kind} one in digits, with no explanation.",
                "Given {a} and {b}, your whole answer is the {kind} number.",
            ),
        },
    ),
)
