"""Trained families about free writing: sentences within limits, given words, an answer, an exact copy.

The easier families: the base model often passes them, so that the benchmark can also show what is lost.
"""

from __future__ import annotations

from harness.data.microtasks.family import Family, Task, with_article
from harness.data.microtasks.letters import plain_sentence
from harness.data.microtasks.pools import Draw, Pool

# A demonstration is one of these after its subject; the longest has seven words.
ENDINGS = (
    "stands in the corner of the room",
    "is older than it looks",
    "belongs to my best friend",
    "is the first thing we see",
    "is new and very useful",
    "was a gift from {name}",
    "came from a market in {city}",
)
JOINTS = (
    "The {a} stands next to the {b}.",
    "{name} moved the {a} away from the {b}.",
    "In {city} we saw the {a} and the {b}.",
    "From the {a} you can see the {b}.",
    "I like the {a} more than the {b}.",
)
# A short text, a question about it, the word that answers, and the answer as a sentence.
STORIES = (
    (
        "{name} lives in {city} and works in an office near the {thing}.",
        "Where does {name} live?",
        "city",
        "{name} lives in {city}.",
    ),
    (
        "{name} went to {city} on Friday and came back with the {thing}.",
        "Where did {name} go?",
        "city",
        "{name} went to {city}.",
    ),
    (
        "Last week {name} lost the {thing} on the way to {city}.",
        "What did {name} lose?",
        "thing",
        "{name} lost the {thing}.",
    ),
    (
        "In {city} the {thing} was sold to {name} after a long talk.",
        "Who bought the {thing}?",
        "name",
        "{name} bought the {thing}.",
    ),
    (
        "{name} cleaned the {thing} all day before the trip to {city}.",
        "What did {name} clean?",
        "thing",
        "{name} cleaned the {thing}.",
    ),
)
FRAMED = (
    "Sure! {}",
    "Of course. {}",
    "Here is what you asked for:\n{}",
    "{}\n\nLet me know if you need anything else!",
    "{} I hope this helps.",
)
FACTS = (
    "Many people like the {topic}.",
    "I saw the {topic} yesterday.",
    "The {topic} looks very nice.",
    "My brother talks about the {topic} every day.",
    "Everybody in our town knows the {topic}.",
    "I took a picture of the {topic}.",
)


def framed(draw: Draw, answer: str) -> str:
    """``answer`` with a greeting or a closing, which makes it more than the sentences asked for."""
    return draw.pick(FRAMED).format(answer)


def short_sentence(pool: Pool, draw: Draw) -> Task:
    """One sentence about a thing with few words."""
    thing, limit = pool.word("thing"), draw.between(10, 16)
    ending = draw.pick(ENDINGS).format(name=pool.word("name"), city=pool.word("city"))
    answer = f"The {thing} {ending}."
    return Task(
        values=(thing, limit),
        fields={"thing": thing, "one": with_article(thing), "limit": limit},
        check={"verifier": "sentence", "contains": [thing], "min_words": 3, "max_words": limit},
        chosen=answer,
        rejected=(
            framed(draw, answer),
            answer.rstrip("."),
            f"{answer} I like it very much.",
            f"The {thing} {ending}, and everybody who comes to visit us likes to look at it for a while.",
        ),
    )


def use_words(pool: Pool, draw: Draw) -> Task:
    """One sentence that has both given words."""
    first, second = pool.words("thing", 2)
    other = pool.word("food")
    frame, names = draw.pick(JOINTS), {"name": pool.word("name"), "city": pool.word("city")}
    answer = frame.format(a=first, b=second, **names)
    return Task(
        values=(first, second),
        fields={"first": first, "second": second},
        check={"verifier": "sentence", "contains": [first, second], "min_words": 3, "max_words": 20},
        chosen=answer,
        rejected=(
            framed(draw, answer),
            frame.format(a=first, b=other, **names),
            frame.format(a=other, b=second, **names),
            f"I see the {first}. I also see the {second}.",
        ),
    )


def answer_question(pool: Pool, draw: Draw) -> Task:
    """The answer to a question about a short text, as one short sentence."""
    names = {"name": pool.word("name"), "city": pool.word("city"), "thing": pool.word("thing")}
    story, question, kind, reply = (part.format(**names) for part in draw.pick(STORIES))
    others = [value for key, value in names.items() if key != kind]
    return Task(
        values=(story,),
        fields={"text": story, "question": question},
        check={"verifier": "sentence", "contains": [names[kind]], "min_words": 3, "max_words": 9},
        chosen=reply,
        rejected=(
            framed(draw, reply),
            story,
            names[kind],
            reply.replace(names[kind], "somebody" if kind == "name" else draw.pick(("it", "there"))),
            f"{reply} The text also mentions {others[0]} and {others[1]}.",
        ),
    )


def two_sentences(pool: Pool, draw: Draw) -> Task:
    """Exactly two sentences about an animal or a thing."""
    topic = pool.word(draw.pick(("animal", "thing")))
    facts = [fact.format(topic=topic) for fact in draw.sample(FACTS, 3)]
    answer = " ".join(facts[:2])
    return Task(
        values=(topic,),
        fields={"topic": topic, "one": with_article(topic)},
        check={"verifier": "sentence", "contains": [topic], "min_words": 6, "max_words": 60, "count": 2},
        chosen=answer,
        rejected=(
            framed(draw, answer),
            facts[0],
            " ".join(facts),
            "\n".join(f"{number}. {fact}" for number, fact in enumerate(facts[:2], 1)),
        ),
    )


def copy_text(pool: Pool, draw: Draw) -> Task:
    """A sentence copied without a change."""
    text = plain_sentence(pool, draw)
    return Task(
        values=(text,),
        fields={"text": text},
        check={"verifier": "exact", "accept": [text]},
        chosen=text,
        rejected=(framed(draw, text), f'"{text}"', text.rstrip("."), text.lower(), f"{text} {text}"),
    )


FAMILIES = (
    Family(
        "short_sentence",
        short_sentence,
        {
            "train": (
                "Write one sentence about {one} with at most {limit} words.",
                "In {limit} words or fewer, write a sentence with the word {thing} in it.",
                "One sentence about the {thing}, please, no longer than {limit} words.",
                "Use the word {thing} in a single sentence of up to {limit} words.",
            ),
            "preference": (
                "Make a sentence with the word {thing}. Limit: {limit} words.",
                "Describe {one} in one sentence that has no more than {limit} words.",
            ),
            "dev": (
                "Say something about {one} in one sentence, {limit} words at most.",
                "Give me one sentence with {thing} in it. It may have up to {limit} words.",
            ),
            "eval": (
                "Compose a single sentence on the {thing} and stay within {limit} words.",
                "Tell me about {one}: one sentence, not more than {limit} words.",
            ),
        },
    ),
    Family(
        "use_words",
        use_words,
        {
            "train": (
                "Write one sentence that contains the words {first} and {second}.",
                "Use {first} and {second} together in a single short sentence.",
                "One sentence, please, with both {first} and {second} in it.",
                "Make a sentence out of these words: {first}, {second}. Keep it short.",
            ),
            "preference": (
                "Put the words {first} and {second} into one short sentence.",
                "Form a single sentence in which {first} and {second} both occur.",
            ),
            "dev": (
                "Give me a short sentence that mentions the {first} and the {second}.",
                "Words: {first}, {second}. Write one sentence that has both.",
            ),
            "eval": (
                "Compose a short sentence where the words {first} and {second} appear.",
                "Include {first} as well as {second} in one sentence.",
            ),
        },
    ),
    Family(
        "answer_question",
        answer_question,
        {
            "train": (
                "{text} {question} Answer in one short sentence.",
                "Read this: {text} {question} Reply with a sentence of at most nine words.",
                "Text: {text}\nQuestion: {question} Give one short sentence.",
                "{question} Answer from this text, in a single short sentence: {text}",
            ),
            "preference": (
                "{text} Now tell me in one short sentence: {question}",
                "Use the text to answer in up to nine words. {text} {question}",
            ),
            "dev": (
                "{text} In one short sentence: {question}",
                "Story: {text}\n{question} A sentence of nine words or fewer, please.",
            ),
            "eval": (
                "Here is a text. {text} {question} Keep it to one short sentence.",
                "According to the text, {question} One sentence, nine words at most. Text: {text}",
            ),
        },
    ),
    Family(
        "two_sentences",
        two_sentences,
        {
            "train": (
                "Write exactly two sentences about the {topic}.",
                "Tell me about {one} in two short sentences.",
                "Two sentences about {one}, no more and no less.",
                "Use two sentences to describe the {topic}.",
            ),
            "preference": (
                "Say two things about the {topic}, each as one sentence.",
                "Give exactly two short sentences that mention the {topic}.",
            ),
            "dev": (
                "Write two sentences that describe {one}.",
                "What do you know about the {topic}? Answer with two sentences.",
            ),
            "eval": (
                "Present the {topic} to a child in two sentences.",
                "In two sentences and not more, write about {one}.",
            ),
        },
    ),
    Family(
        "copy_text",
        copy_text,
        {
            "train": (
                "Repeat this sentence exactly: {text}",
                "Copy the following sentence without any change: {text}",
                "Sentence: {text}\nWrite the same sentence again.",
                "Say this again, word for word: {text}",
            ),
            "preference": (
                "Write this sentence once more: {text}",
                "Reproduce the sentence and nothing else: {text}",
            ),
            "dev": (
                "Please copy this sentence: {text}",
                "Repeat after me: {text}",
            ),
            "eval": (
                "Write down this sentence as it is: {text}",
                "Please say exactly this: {text}",
            ),
        },
    ),
)
