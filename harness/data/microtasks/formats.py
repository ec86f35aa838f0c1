"""Trained families about formats: JSON with required keys, wrapping in marks, ISO dates."""

from __future__ import annotations

import json

from harness.data.microtasks.family import Family, Task, chatty
from harness.data.microtasks.letters import plain_sentence
from harness.data.microtasks.pools import Draw, Pool

MARKS = (("[[", "]]"), ("<<", ">>"), ("((", "))"), ("##", "##"), ("**", "**"), ("{{", "}}"))
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def json_record(pool: Pool, draw: Draw) -> Task:
    """A JSON object with exactly the keys asked for, filled from a sentence."""
    name, city, thing = pool.word("name"), pool.word("city"), pool.word("thing")
    number = pool.number(18, 79)
    text, record = draw.pick(
        (
            (
                f"{name} is {number} years old and lives in {city}.",
                {"name": name, "age": number, "city": city},
            ),
            (f"{name} from {city} is {number}.", {"name": name, "city": city, "age": number}),
            (
                f"{name} bought the {thing} for {number} dollars.",
                {"name": name, "item": thing, "price": number},
            ),
            (f"The {thing} costs {number} dollars.", {"item": thing, "price": number}),
        )
    )
    answer = json.dumps(record)
    lines = "\n".join(f"{key}: {value}" for key, value in record.items())
    renamed = {(key if key != "name" else "full_name"): value for key, value in record.items()}
    spoiled = {**record, "note": "none"} if renamed == record else renamed
    return Task(
        values=(text,),
        fields={"text": text, "keys": ", ".join(record)},
        check={"verifier": "json_object", "expected": record},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            lines,
            json.dumps(spoiled),
            answer.rstrip("}"),
            f"```\n{answer}\n```",
        ),
    )


def wrap_text(pool: Pool, draw: Draw) -> Task:
    """A text between two marks, and nothing outside them."""
    opening, closing = draw.pick(MARKS)
    text = draw.pick((pool.word("thing"), pool.word("food"), plain_sentence(pool, draw)))
    answer = f"{opening}{text}{closing}"
    return Task(
        values=(opening, text),
        fields={"open": opening, "close": closing, "text": text},
        check={
            "verifier": "sequence",
            "items": [text],
            "separator": "\n",
            "opening": opening,
            "closing": closing,
        },
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            f'"{text}"',
            f"{opening}{text}",
            f"{opening[0]}{text}{closing[0]}",
            text,
        ),
    )


def iso_date(pool: Pool, draw: Draw) -> Task:
    """A written date as year-month-day."""
    day, month, year = draw.between(1, 28), draw.between(1, 12), pool.number(1950, 2049)
    name = MONTHS[month - 1]
    written = draw.pick((f"{day} {name} {year}", f"{name} {day}, {year}"))
    answer = f"{year}-{month:02d}-{day:02d}"
    return Task(
        values=(day, month, year),
        fields={"date": written},
        check={"verifier": "exact", "accept": [answer]},
        chosen=answer,
        rejected=(
            chatty(draw, answer),
            f"{year}/{month:02d}/{day:02d}",
            f"{day:02d}-{month:02d}-{year}",
            written,
            f"{year}-{month % 12 + 1:02d}-{day:02d}",
        ),
    )


FAMILIES = (
    Family(
        "json_record",
        json_record,
        {
            "train": (
                "{text} Write this as a JSON object with the keys {keys}. Give only the JSON.",
                "Turn the sentence into JSON with exactly these keys: {keys}. Sentence: {text}",
                "Extract {keys} from this text and answer with one JSON object: {text}",
                "JSON only, please. Keys: {keys}. Text: {text}",
            ),
            "preference": (
                "Read: {text} Now reply with a JSON object that has the keys {keys} and nothing else.",
                'Represent "{text}" as JSON. Use the keys {keys}; no other text.',
            ),
            "dev": (
                "Text: {text}\nReturn a single JSON object whose keys are {keys}. Do not explain.",
                "I need {keys} as JSON from the following sentence, with no words around it: {text}",
            ),
            "eval": (
                "Fill a JSON object having the keys {keys} from this sentence: {text} Output JSON alone.",
                'From "{text}" build one JSON object (keys: {keys}). Your reply is just that object.',
            ),
        },
    ),
    Family(
        "wrap_text",
        wrap_text,
        {
            "train": (
                "Put this text between {open} and {close} and write nothing else: {text}",
                "Wrap the following in {open} and {close}: {text}",
                "Answer with {open}, then the text, then {close}, with no spaces added. The text: {text}",
                "Copy the text and surround it with {open} and {close}. Text: {text}",
            ),
            "preference": (
                "Start with {open} and end with {close}; between them repeat this text: {text}",
                "Enclose this in {open} {close}, adding nothing outside: {text}",
            ),
            "dev": (
                "Return this text with {open} in front and {close} behind, and nothing more: {text}",
                "Text: {text}\nReply with the text inside {open} and {close}.",
            ),
            "eval": (
                "Mark this by placing {open} directly before it and {close} directly after it: {text}",
                "Write {open}, copy this, then write {close}. No other characters. This: {text}",
            ),
        },
    ),
    Family(
        "iso_date",
        iso_date,
        {
            "train": (
                "Write the date {date} in the form YYYY-MM-DD. Nothing else.",
                "Convert {date} to YYYY-MM-DD.",
                "What is {date} in ISO format (YYYY-MM-DD)? Reply only with the date.",
                "Date: {date}. Give it as year-month-day with two digits for month and day.",
            ),
            "preference": (
                "Reformat {date} as YYYY-MM-DD and reply with that alone.",
                "Put {date} into the pattern YYYY-MM-DD, with no other text.",
            ),
            "dev": (
                "How is {date} written as YYYY-MM-DD? Only the date, please.",
                "Express {date} numerically, year first: YYYY-MM-DD. No explanation.",
            ),
            "eval": (
                "Turn the date {date} into digits following YYYY-MM-DD; no other text.",
                "Give me {date} in YYYY-MM-DD notation without any comment.",
            ),
        },
    ),
)
