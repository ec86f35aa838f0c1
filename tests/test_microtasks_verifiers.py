"""The verifiers: exact on near-misses, indifferent to whitespace, and safe with hostile texts."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import microtasks
from harness.data.microtasks import assembly, verifiers
from harness.errors import ConfigError

EXACT = {"verifier": "exact", "accept": ["Answer: 12"]}
SHORT = {"verifier": "short_answer", "accept": ["Oslo"]}
OPENS = {"verifier": "opens_with", "accept": ["yes"]}
COMMAS = {"verifier": "sequence", "items": ["ant", "bee"], "separator": ",", "any_case": True}
LETTERS = {"verifier": "sequence", "items": ["A", "B"], "separator": "-"}
ROW = {"verifier": "sequence", "items": ["a", "b"], "separator": "|", "opening": "|", "closing": "|"}
DASHES = {"verifier": "bullets", "count": 2, "allowed": ["ant", "bee", "cow"]}
NUMBERED = {"verifier": "bullets", "count": 2, "allowed": ["ant", "bee"], "marker": "1.", "in_order": True}
JSON = {"verifier": "json_object", "expected": {"name": "Ann", "age": 34}}
SENTENCE = {"verifier": "sentence", "contains": ["lamp"], "min_words": 3, "max_words": 6}
TWO = {"verifier": "sentence", "contains": ["lamp"], "max_words": 20, "count": 2}
MENTIONS = {"verifier": "mentions", "groups": [["New York", "NYC"], ["city"]], "min_words": 4}
CHECKS = (EXACT, SHORT, OPENS, COMMAS, LETTERS, ROW, DASHES, NUMBERED, JSON, SENTENCE, TWO, MENTIONS)

RIGHT = [
    (EXACT, " Answer:  12 \n"),
    (SHORT, "oslo."),
    (OPENS, "YES, of course"),
    (COMMAS, "ant,bee"),
    (COMMAS, "Ant,  Bee"),
    (LETTERS, "A-B"),
    (LETTERS, "A - B"),
    (ROW, "|a|b|"),
    (ROW, "\n| a | b |\n"),
    (DASHES, "- bee\n\n- Ant"),
    (NUMBERED, "1. ant\n2. bee"),
    (JSON, '{\n "age": 34,\n "name": "Ann"}\n'),
    (SENTENCE, "The lamp is old."),
    (SENTENCE, "Who took the lamp?"),
    (TWO, "The lamp is old. I like it!"),
    (MENTIONS, "It is new york, a big city."),
]
WRONG = [
    (EXACT, "answer: 12"),
    (EXACT, "Answer: 12."),
    (EXACT, "Answer:\n12"),
    (EXACT, "Answer: 12\nAnswer: 12"),
    (EXACT, "Answer: 112"),
    (EXACT, ""),
    (SHORT, "Oslo, Norway"),
    (SHORT, "The city is Oslo."),
    (SHORT, "Oslo.."),
    (OPENS, "No, yes"),
    (OPENS, "Yesterday"),
    (OPENS, ""),
    (COMMAS, "bee, ant"),
    (COMMAS, "ant, bee, bee"),
    (COMMAS, "ant, bee,"),
    (COMMAS, "ant\nbee"),
    (COMMAS, "ant; bee"),
    (LETTERS, "a-b"),
    (LETTERS, "AB"),
    (ROW, "a|b"),
    (ROW, "| a | b | c |"),
    (ROW, "| a | b |\n| - | - |"),
    (ROW, "|"),
    (DASHES, "- bee\n- bee"),
    (DASHES, "- bee"),
    (DASHES, "- ant\n- bee\n- cow"),
    (DASHES, "* ant\n* bee"),
    (DASHES, "Here:\n- ant\n- bee"),
    (DASHES, "- ant\n- dog"),
    (DASHES, "-ant\n-bee"),
    (NUMBERED, "1. bee\n2. ant"),
    (NUMBERED, "1. ant\n3. bee"),
    (NUMBERED, "1) ant\n2) bee"),
    (JSON, '{"name": "Ann", "age": 34, "city": "Oslo"}'),
    (JSON, '{"name": "Ann"}'),
    (JSON, '```json\n{"name": "Ann", "age": 34}\n```'),
    (JSON, '[{"name": "Ann", "age": 34}]'),
    (JSON, '{"name": "Ann", "age": 34'),
    (JSON, "{'name': 'Ann', 'age': 34}"),
    (JSON, '{"name": "Bob", "name": "Ann", "age": 34}'),
    (JSON, '{"name": NaN, "age": Infinity}'),
    (SENTENCE, "The lamp is old"),
    (SENTENCE, "The lamps are old."),
    (SENTENCE, "Lamp."),
    (SENTENCE, "The old lamp in here is broken."),
    (SENTENCE, "The lamp.\nIt is old."),
    (TWO, "The lamp is old."),
    (TWO, "The lamp is old. I like it! Yes."),
    (MENTIONS, "It is York, a new big city."),
    (MENTIONS, "New York is a town somewhere."),
    (MENTIONS, "NYC city NYC city NYC city"),
]


@pytest.mark.parametrize(("check", "text"), RIGHT)
def test_a_right_response_scores_one(check: dict[str, Any], text: str) -> None:
    assert microtasks.score(check, text) == 1


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_a_near_miss_scores_zero(check: dict[str, Any], text: str) -> None:
    assert microtasks.score(check, text) == 0


def test_json_with_the_right_keys_is_worth_its_share_of_right_values() -> None:
    assert microtasks.score(JSON, '{"name": "Ann", "age": "34"}') == 0.5
    assert microtasks.score(JSON, '{"name": "Bob", "age": 34.0}') == 0
    one = {"verifier": "json_object", "expected": {"n": 1}}
    assert microtasks.score(one, '{"n": true}') == 0


def test_every_verifier_is_tested_and_every_one_is_used_by_a_family() -> None:
    assert {check["verifier"] for check in CHECKS} == set(verifiers.VERIFIERS)
    used = {item.task.check["verifier"] for item in assembly.items("eval", 300, 0)}
    assert used == set(verifiers.VERIFIERS)


@given(text=st.text(max_size=300), check=st.sampled_from(CHECKS))
@settings(max_examples=500, deadline=None)
def test_any_text_gets_a_score_between_zero_and_one_and_always_the_same(text: str, check: Any) -> None:
    score = microtasks.score(check, text)
    assert 0 <= score <= 1
    assert microtasks.score(check, text) == score


@given(
    case=st.sampled_from(RIGHT),
    before=st.text(" \t\n\u00a0", max_size=5),
    after=st.text(" \t\n\r\u00a0", max_size=5),
)
def test_whitespace_around_a_response_is_benign(case: Any, before: str, after: str) -> None:
    check, text = case
    assert microtasks.score(check, before + text + after) == 1


HOSTILE = {
    "nested arrays": "[" * 15_000,
    "nested objects": '{"a":' * 3_000,
    "balanced nesting": "[" * 9_000 + "]" * 9_000,
    "huge integer": "9" * 15_000,
    "integer in an object": '{"name": ' + "9" * 15_000 + "}",
    "one long word": "a" * 19_000,
    "hyphens": "a-" * 9_000,
    "apostrophes": "'" * 19_000,
    "full stops": ". " * 9_000,
    "bars": "|" * 19_000,
    "line breaks": "\n" * 19_000,
    "bullets": "- ant\n" * 3_000,
    "nulls": "\0" * 19_000,
    "lone surrogate": "\ud800",
    "right-to-left": "\u202e" * 500,
    "control": "\x1b[2J\x85\u2028",
    "nothing": "",
    "over the limit": "Answer: 12" + " " * 5_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_gets_zero_quickly_and_no_exception(name: str) -> None:
    start = time.perf_counter()
    assert [microtasks.score(check, HOSTILE[name]) for check in CHECKS] == [0] * len(CHECKS)
    assert time.perf_counter() - start < 2


def test_json_that_nests_deep_is_refused_even_where_the_depth_is_hidden_in_a_string() -> None:
    assert verifiers.parse_json('{"a": ' + "[" * 10 + "]" * 10 + "}") is not None
    assert verifiers.parse_json('{"a": "' + "]" * 300 + '", "b": ' + "[" * 300 + "]" * 300 + "}") is None


def test_a_check_that_names_no_verifier_or_wrong_parameters_is_the_callers_mistake() -> None:
    with pytest.raises(ConfigError, match=r'"exakt".*Did you mean "exact"'):
        microtasks.score({"verifier": "exakt"}, "x")
    with pytest.raises(ConfigError, match="does not exist"):
        microtasks.score({}, "x")
    for check in (
        {"verifier": "exact", "accepts": ["x"]},
        {"verifier": "exact", "accept": [1]},
        {"verifier": "sequence", "items": ["x"], "separator": ""},
        {"verifier": "json_object", "expected": {}},
    ):
        with pytest.raises(ConfigError, match="parameters that it does not take"):
            microtasks.score(check, "{}")


def test_the_source_digest_is_that_of_the_verifiers_file() -> None:
    source = Path(verifiers.__file__).read_bytes()
    assert microtasks.source_digest() == hashlib.sha256(source).hexdigest()
