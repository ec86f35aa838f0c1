"""Exact verifiers: a response's text and the parameters of its check in, a score in [0, 1] out.

They stand at the end of the flow (the rules judge calls `score`) and at its beginning (every demonstration
must score 1 and every rejected response less). No randomness, no model, no clock. Surrounding and repeated
whitespace is benign everywhere; anything else that the prompt did not ask for costs the point. Partial
credit exists in one place: a JSON object with the right keys is worth its share of right values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import ConfigError, did_you_mean

# Responses are short by design. A longer text is wrong whatever it holds, and never reaches a parser.
MAX_CHARACTERS = 20_000
# Opening brackets in JSON, an upper bound of its nesting: deep nesting exhausts a recursive parser.
MAX_BRACKETS = 20
# Both patterns are linear: their alternatives never match the same character.
WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
SENTENCE_END = re.compile(r"[.!?](?=\s)")

Verifier = Callable[..., float]


def tidy(text: str) -> str:
    """``text`` without blank lines, outer whitespace and repeated blanks; line breaks stay."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case; an apostrophe or hyphen inside a word does not split it."""
    return WORD.findall(text.lower())


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of ``phrase`` stand side by side in ``text``, in any casing."""
    wanted = words(phrase)
    haystack = " " + " ".join(words(text)) + " "
    return bool(wanted) and " " + " ".join(wanted) + " " in haystack


def exact(text: str, *, accept: Sequence[str]) -> float:
    """1 if the tidied text is one of ``accept``, character by character."""
    return float(tidy(text) in {tidy(answer) for answer in accept})


def short_answer(text: str, *, accept: Sequence[str]) -> float:
    """1 if the tidied text is one of ``accept``; casing and one full stop at the end are free."""
    return float(tidy(text).removesuffix(".").lower() in {tidy(answer).lower() for answer in accept})


def opens_with(text: str, *, accept: Sequence[str]) -> float:
    """1 if the first word of the text, in any casing, is one of ``accept``."""
    return float(words(text)[:1] in [[answer.lower()] for answer in accept])


def sequence(
    text: str,
    *,
    items: Sequence[str],
    separator: str,
    opening: str = "",
    closing: str = "",
    any_case: bool = False,
) -> float:
    """1 if the text is one line: ``opening``, ``items`` in order with ``separator`` between, ``closing``.

    With ``any_case`` the casing of the items is free.
    """
    line = tidy(text)
    fits = "\n" not in line and line.startswith(opening) and line.endswith(closing)
    if not fits or len(line) < len(opening) + len(closing):
        return 0.0
    inner = line[len(opening) : len(line) - len(closing)]
    parts = [part.strip() for part in inner.split(separator)]
    return float(parts == list(items) or (any_case and _lower(parts) == _lower(items)))


def bullets(text: str, *, count: int, allowed: Sequence[str], marker: str = "-", in_order: bool = False) -> float:
    """1 if the text is ``count`` marked lines, each a different one of ``allowed`` in any casing.

    ``marker`` "1." asks for numbers that rise from 1. With ``in_order`` the lines are ``allowed``, in order.
    """
    found: list[str] = []
    for number, line in enumerate(tidy(text).split("\n"), start=1):
        mark, _, item = line.partition(" ")
        if mark != (f"{number}." if marker == "1." else marker):
            return 0.0
        found.append(item.lower())
    offered = _lower(allowed)
    distinct = len(found) == count == len(set(found)) and set(found) <= set(offered)
    return float(distinct and (not in_order or found == offered))


def json_object(text: str, *, expected: dict[str, Any]) -> float:
    """Share of right values, if the text is one JSON object with exactly the expected keys; else 0."""
    value = parse_json(text)
    if not isinstance(value, dict) or set(value) != set(expected):
        return 0.0
    return sum(_same(value[key], expected[key]) for key in expected) / len(expected)


def sentence(
    text: str,
    *,
    contains: Sequence[str],
    max_words: int,
    min_words: int = 1,
    count: int = 1,
) -> float:
    """1 if the text is ``count`` sentences on one line, within the limits, with all of ``contains``.

    A sentence ends with a full stop, exclamation or question mark.
    """
    line = tidy(text)
    one_line = "\n" not in line and line.endswith((".", "!", "?"))
    counted = len(SENTENCE_END.findall(line)) == count - 1
    sized = min_words <= len(words(line)) <= max_words
    return float(one_line and counted and sized and all(has_phrase(line, word) for word in contains))


def mentions(text: str, *, groups: Sequence[Sequence[str]], min_words: int = 1) -> float:
    """1 if each group has a phrase that the text mentions, and the text has ``min_words`` different words.

    Tolerant on purpose: it checks general answers whose form is free. Different words, so that a loop fails.
    """
    enough = len(set(words(text))) >= min_words
    return float(enough and all(any(has_phrase(text, phrase) for phrase in group) for group in groups))


VERIFIERS: dict[str, Verifier] = {
    verifier.__name__: verifier
    for verifier in (exact, short_answer, opens_with, sequence, bullets, json_object, sentence, mentions)
}


def score(check: dict[str, Any], text: str) -> float:
    """The verdict of ``check["verifier"]`` on ``text``, in [0, 1].

    The other keys of ``check`` are the verifier's parameters. Raises ConfigError for a check that names no
    verifier or gives it wrong parameters; no text raises anything.
    """
    name = str(check.get("verifier"))
    verifier = VERIFIERS.get(name)
    if verifier is None:
        raise ConfigError(
            f'a check names the verifier "{name}", which does not exist.{did_you_mean(name, VERIFIERS)}',
            f"the verifiers are {', '.join(VERIFIERS)}",
        )
    if len(text) > MAX_CHARACTERS:
        return 0.0
    try:
        return verifier(text, **{key: value for key, value in check.items() if key != "verifier"})
    except (TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f'a check gives the verifier "{name}" parameters that it does not take: {error}.',
            "see the verifiers' signatures in harness/data/microtasks/verifiers.py",
        ) from None


def parse_json(text: str) -> Any:
    """The value of ``text`` as strict JSON; None if it is none, repeats a key or could nest deep."""
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        return None
    try:
        return json.loads(text.strip(), object_pairs_hook=_no_repeats, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _lower(texts: Sequence[str]) -> list[str]:
    return [text.lower() for text in texts]


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _same(value: Any, expected: Any) -> bool:
    """Equal in value and JSON type: "34" is not 34, and true is not 1."""
    return type(value) is type(expected) and bool(value == expected)
