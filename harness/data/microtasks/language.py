"""Trained families about meaning: labels from a closed set, extraction, a sentence within limits."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty
from harness.data.microtasks.pools import Draw, Pool

REVIEWS = (
    "The {thing} was {word}.",
    "I found this {thing} {word}.",
    "Our stay in {city} was {word}.",
    "{name} said the {thing} is really {word}.",
    "What a {word} {thing}!",
)
OPINION = {"praise": "positive", "blame": "negative"}
GROUPS = ("animal", "food", "clothing")
# Two nouns' worth of filling for the sentences that demonstrate `short_sentence`.
ENDINGS = (
    "stands in the corner of the room",
    "is older than it looks",
    "belongs to my best friend",
    "is the first thing we see",
    "is new and very useful",
    "was a gift from {name}",
    "came from a market in {city}",
)


def review_label(pool: Pool, draw: Draw) -> Task:
    """One of two labels for a short review."""
    kind = draw.pick(tuple(OPINION))
    text = draw.pick(REVIEWS).format(
        thing=pool.word("thing"), word=pool.word(kind), city=pool.word("city"), name=pool.word("name")
    )
    label = OPINION[kind]
    other = "negative" if label == "positive" else "positive"
    return Task(
        values=(text,),
        fields={"text": text},
        check={"verifier": "exact", "accept": [label]},
        chosen=label,
        rejected=(chatty(draw, label), other, f"The review is {label}.", label.title(), "neutral"),
    )


def group_label(pool: Pool, draw: Draw) -> Task:
    """The group of a word, from a closed set in angle brackets."""
    group = draw.pick(GROUPS)
    word = pool.word(group)
    wrong = draw.pick([other for other in GROUPS if other != group])
    return Task(
        values=(word,),
        fields={"word": word, "groups": ", ".join(draw.sample(GROUPS, 3))},
        check={"verifier": "exact", "accept": [f"<{group}>"]},
        chosen=f"<{group}>",
        rejected=(
            chatty(draw, f"<{group}>"),
            f"<{wrong}>",
            group,
            f"<{word}>",
            f"{word} is a kind of {group}.",
        ),
    )


def extract_fact(pool: Pool, draw: Draw) -> Task:
    """One fact copied from a short text."""
    name, city, thing, number = pool.word("name"), pool.word("city"), pool.word("thing"), pool.number(10, 99)
    text = draw.pick(
        (
            f"On Monday {name} took bus {number} to {city} and forgot a {thing} there.",
            f"{name} sold a {thing} in {city} for {number} dollars.",
            f"The {thing} was sent from {city} by {name} and weighs {number} pounds.",
            f"In {city}, {name} waited {number} minutes for the {thing}.",
        )
    )
    facts = {"person's name": name, "city": city, "number": str(number)}
    kind = draw.pick(tuple(facts))
    answer = facts[kind]
    wrong = draw.pick([value for key, value in facts.items() if key != kind])
    return Task(
        values=(text, kind),
        fields={"text": text, "kind": kind},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(chatty(draw, answer), wrong, f"The {kind} is {answer}.", text, f"{answer}, {wrong}"),
    )


def short_sentence(pool: Pool, draw: Draw) -> Task:
    """One sentence about a thing, in small letters, with few words and a full stop."""
    thing, limit = pool.word("thing"), draw.between(9, 13)
    ending = draw.pick(ENDINGS).format(name=pool.word("name"), city=pool.word("city"))
    answer = f"the {thing} {ending}.".lower()
    return Task(
        values=(thing, limit),
        fields={"thing": thing, "limit": limit},
        check={
            "verifier": "sentence",
            "contains": [thing],
            "min_words": 3,
            "max_words": limit,
            "case": "lower",
        },
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            f"The {thing} {ending}.",
            answer.rstrip("."),
            f"{answer} it is a very nice {thing}.",
            f"the {thing} {ending} and everybody who comes to visit us likes to look at it for a while.",
        ),
    )


FAMILIES = (
    Family(
        "review_label",
        review_label,
        {
            "train": (
                "Is this review positive or negative? Answer with one word in small letters: {text}",
                "Label the text as positive or negative. Reply with the label only. Text: {text}",
                "{text}\nIs that positive or negative? One lower-case word, no punctuation.",
                "Choose the right label, positive or negative, and write nothing else. Review: {text}",
            ),
            "preference": (
                "Review: {text} Give just one of these labels: positive, negative.",
                "Decide whether this is positive or negative and reply with that one small word: {text}",
            ),
            "dev": (
                "Sort this comment into positive or negative. The label alone, in small letters: {text}",
                "Comment: {text}\nLabel (positive / negative), one word only:",
            ),
            "eval": (
                'Somebody wrote: "{text}" Return a single lower-case label, either positive or negative.',
                "How does this sound, positive or negative? Respond using only that word: {text}",
            ),
        },
    ),
    Family(
        "group_label",
        group_label,
        {
            "train": (
                "Is {word} in the group {groups}? Reply with the group in angle brackets, like <group>.",
                "Classify {word}. Groups: {groups}. Write only the group between < and >.",
                "Put {word} into one of {groups}. Format: <group>",
                "Groups: {groups}. Word: {word}. Give the fitting group inside <> and nothing else.",
            ),
            "preference": (
                "Which of {groups} fits {word}? Return it between angle brackets without other text.",
                "Assign {word} to a group out of {groups}, written like <group>.",
            ),
            "dev": (
                "Word: {word}. Choose from {groups} and reply with your choice enclosed in < and >.",
                "What kind of thing is {word}? Options: {groups}. Answer as <option>, no other words.",
            ),
            "eval": (
                "Tag the word {word} with one of these: {groups}. The tag stands in angle brackets, alone.",
                "Decide among {groups} for {word}; print just the chosen one surrounded by < and >.",
            ),
        },
    ),
    Family(
        "extract_fact",
        extract_fact,
        {
            "train": (
                "{text} What is the {kind} in this text? Reply with it only.",
                "Find the {kind} in the text and write nothing else. Text: {text}",
                "Text: {text}\nGive only the {kind}.",
                "Extract the {kind}: {text} No other words.",
            ),
            "preference": (
                "Read this: {text} Now return the {kind} alone.",
                "Which {kind} is mentioned here? Just that, please: {text}",
            ),
            "dev": (
                "From the following, copy out the {kind} and nothing more: {text}",
                'Look for the {kind} in "{text}" and answer with that alone.',
            ),
            "eval": (
                "Here is a note: {text} State the {kind} it contains, without a sentence around it.",
                "Note: {text}\nYour reply is the {kind} from the note, no more.",
            ),
        },
    ),
    Family(
        "short_sentence",
        short_sentence,
        {
            "train": (
                "Write a sentence with {thing}: small letters, at most {limit} words, a full stop at the end.",
                "Use {thing} in one sentence of up to {limit} words. No capitals; end with a full stop.",
                "One sentence about a {thing}: only lower case, up to {limit} words, ending in a full stop.",
                "In {limit} words or fewer and no capital letter, write a sentence on the {thing}, then a full stop.",
            ),
            "preference": (
                "Make a lower-case sentence with the word {thing}, {limit} words or fewer, full stop at the end.",
                "Write a sentence containing {thing} without capitals. Limit: {limit} words, then a full stop.",
            ),
            "dev": (
                "Say something about a {thing}: one sentence, {limit} words at most, all letters small, full stop.",
                "Give me one sentence with {thing} in it: up to {limit} words, no capitals, a full stop.",
            ),
            "eval": (
                "Compose a sentence mentioning the {thing}; small letters alone, within {limit} words, full stop.",
                "Task: a sentence of no more than {limit} words that includes {thing}, no capitals, full stop.",
            ),
        },
    ),
)
