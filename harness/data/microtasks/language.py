"""Trained families about meaning: labels from a closed set, yes or no, extraction."""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, chatty
from harness.data.microtasks.pools import Draw, Pool

REVIEWS = (
    "The {thing} was {word}.",
    "I found this {thing} {word}.",
    "Our stay in {city} was {word}.",
    "{name} said the {thing} is really {word}.",
    "The {thing} in {city} looks {word}.",
)
OPINION = {"praise": "positive", "blame": "negative"}
GROUPS = ("animal", "food", "clothing")
NOUNS = {"animal": "an animal", "food": "a kind of food", "clothing": "a piece of clothing"}


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
        check={"verifier": "short_answer", "accept": [label]},
        chosen=label,
        rejected=(chatty(draw, label), other, f"The review is {label}.", f"{label} or {other}", "neutral"),
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


def is_kind(pool: Pool, draw: Draw) -> Task:
    """Whether a word is of a kind; the answer opens with yes or no."""
    group = draw.pick(GROUPS)
    # Many animals are food too, so nobody is asked whether an animal is food.
    others = [other for other in GROUPS if other != group and (group, other) != ("animal", "food")]
    asked = draw.pick((group, draw.pick(others)))
    word, noun = pool.word(group), NOUNS[asked]
    right = "Yes" if group == asked else "No"
    wrong = "No" if right == "Yes" else "Yes"
    reply = f"{right}, {word} is {noun}." if right == "Yes" else f"No, {word} is not {noun}."
    return Task(
        values=(word, asked),
        fields={"word": word, "noun": noun},
        check={"verifier": "opens_with", "accept": [right.lower()]},
        chosen=reply,
        rejected=(
            f"Good question! {reply}",
            reply.replace(right, wrong, 1),
            f"{wrong}.",
            f"I would say {right.lower()}.",
        ),
    )


def extract_fact(pool: Pool, draw: Draw) -> Task:
    """One fact copied from a short text."""
    name, city, thing, number = pool.word("name"), pool.word("city"), pool.word("thing"), pool.number(10, 99)
    text = draw.pick(
        (
            f"On Monday {name} took bus {number} to {city} and forgot the {thing} there.",
            f"{name} sold the {thing} in {city} for {number} dollars.",
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
        check={"verifier": "short_answer", "accept": [answer]},
        chosen=answer,
        rejected=(chatty(draw, answer), wrong, f"The {kind} is {answer}.", text, f"{answer}, {wrong}"),
    )


FAMILIES = (
    Family(
        "review_label",
        review_label,
        {
            "train": (
                "Is this review positive or negative? Answer with one word: {text}",
                "Label the text as positive or negative. Reply with the label only. Text: {text}",
                "{text}\nIs that positive or negative? Answer with the word alone.",
                "Choose the right label, positive or negative, and write nothing else. Review: {text}",
            ),
            "preference": (
                "Review: {text} Give just one of these labels: positive, negative.",
                "Decide whether this is positive or negative and reply with that one word: {text}",
            ),
            "dev": (
                "Is the comment positive or negative? Only the label. {text}",
                "Comment: {text}\nLabel (positive / negative), one word only:",
            ),
            "eval": (
                'Somebody wrote: "{text}" Return a single label, either positive or negative.',
                "How does this sound, positive or negative? Respond using only that word: {text}",
            ),
        },
    ),
    Family(
        "group_label",
        group_label,
        {
            "train": (
                "Which group has {word} in it: {groups}? Reply with the group in angle brackets: <group>.",
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
        "is_kind",
        is_kind,
        {
            "train": (
                "Is {word} {noun}? Answer yes or no.",
                "Yes or no: would you say that {word} is {noun}?",
                "Tell me whether {word} is {noun}. Start with yes or no.",
                "Word: {word}. Is that {noun}? Begin your answer with yes or no.",
            ),
            "preference": (
                "Could {word} be {noun}? The answer starts with yes or no.",
                "Does {word} count as {noun}? Say yes or no first.",
            ),
            "dev": (
                "Would people call {word} {noun}? Answer with yes or no.",
                "I wonder if {word} is {noun}. Yes or no?",
            ),
            "eval": (
                "Do you think {word} is {noun}? Yes or no, please.",
                "{word}: {noun} or not? Reply with yes or no.",
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
)
