"""Nothing that a stranger wrote makes the program crash: random trees, any value in any field, the fuzzer's own corpus.

The coverage-guided search itself is ``make fuzz TARGET=… SECONDS=…`` (docs/security-testing.md).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import recipe_file
from harness.boards.board_file import BoardFile
from harness.config import Recipe
from harness.errors import ConfigError
from tests.fuzz import targets

CORPUS = Path(__file__).parent / "fuzz" / "corpus"
LIGHT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# the corpus, and what was found


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_corpus_of_a_target_is_answered_or_refused(name: str) -> None:
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs
    taken = [targets.run(name, path.read_bytes()) for path in inputs]
    assert len({*taken}) == 2 or name in ("judge_answers", "site")  # these refuse nothing


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


DEEP = 100_000
FOUND = [
    ("recipe", b"? [1]\n: 2\n"),
    ("recipe", b"a: &a [*a]\n"),
    ("recipe", b"name: !!timestamp 2001-99-99\n"),
    ("recipe", b"name: !!int x\n"),
    ("recipe", b"\xff\xfe\x00"),
    ("recipe", b"[" * 2000),
    ("recipe", b"extends: smoke\nset: 5\n"),
    ("recipe", b"extends: smoke\nset: [1]\n"),
    ("recipe", b'title: "\\ud800 \\e[2J"\n'),
    ("recipe", b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + n, 98 + n, b", ".join([b"*%c" % (97 + n)] * 10)) for n in range(9))),
    ("recipe", b"extends: smoke\nsweep: {" + b", ".join(
        b"%s: [%s]" % (axis, b", ".join(b"%d" % n for n in range(1, 200)))
        for axis in (b"epochs", b"batch_size", b"max_steps", b"learning_rate")) + b"}\n"),
    ("board", b"board: !!int x\n"),
    ("board", b"rows: &r [*r]\n"),
    ("board", b"\xff"),
    ("completions", b"9\n"),
    ("completions", b'{"prompt_id": "a", "text": "t"}\n[]\n'),
    ("completions", b"[" * DEEP),
    ("completions", b'[{"instruction": 5, "output": "o"}]'),
    ("verdicts", b"[" * DEEP),
    ("verdicts", b'[{"model": "m", "idx": 0, "preference": true}]'),
    ("judge_answers", b"[" * DEEP),
    ("judge_answers", b'{"choices": [{"message": {"content": "x", "refusal": {"a": 1}}, "finish_reason": NaN}]}'),
    ("judge_answers", b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": [{"token": "a", "logprob": 1'
     + b"0" * 400 + b"}]}}]}"),
    ("template", b"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    ("template", b"{% for a in messages %}" * 30 + b"{% endfor %}" * 30),
    ("template", b"{{ 'x' * 10**12 }}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), FOUND, ids=range(len(FOUND)))
def test_what_once_crashed_hung_or_was_taken_amiss_is_answered_or_refused(name: str, data: bytes) -> None:
    targets.run(name, data)


def test_a_circle_of_recipes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {other}.yaml\nname: {name}\n")
    with pytest.raises(ConfigError, match="comes back to itself"):
        recipe_file.load("a.yaml")


# recipes and board files


def names(model: Any, seen: frozenset[Any] = frozenset()) -> Iterator[str]:
    """The keys of a settings class and of those inside it."""
    for name, field in getattr(model, "model_fields", {}).items():
        yield name
        inner = recipe_file._inner_model(field.annotation)
        if inner is not None and inner not in seen:
            yield from names(inner, seen | {inner})


KEYS = sorted({*names(Recipe), *names(BoardFile), "protocol", "extends", "set", "none", "a"})
WORDS = (
    "smoke",
    "builtin:microtasks",
    "f_sft",
    "alpha",
    "sequence",
    "pairwise",
    "https://a.b/v1",
    "base",
    "eval",
    "2001-1-1",
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=8), st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=4), st.integers()), inner, max_size=5),
    ),
    max_leaves=12,
)


def load(tree: Any, folder: Path) -> Recipe:
    path = folder / "tree.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    return recipe_file.load(str(path))


@LIGHT
@given(TREES)
def test_any_tree_is_a_recipe_or_a_mistake_that_is_told(tree: Any) -> None:
    targets.run("recipe", yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogateescape"))


def places(tree: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*before, key)
        yield from places(value, (*before, key))


SHIPPED = [recipe_file.parse(path) for path in recipe_file.shipped().values()]
PLACES = [(number, place) for number, tree in enumerate(SHIPPED) for place in places(tree)]


@settings(LIGHT, max_examples=100)
@given(st.sampled_from(PLACES), TREES, st.booleans())
def test_a_mistake_in_a_recipe_is_told_with_its_key(
    tmp_path: Path, where: tuple[int, tuple[Any, ...]], value: Any, added: bool
) -> None:
    number, (*parents, last) = where
    tree = copy.deepcopy(SHIPPED[number])
    inside = tree
    for key in parents:
        inside = inside[key]
    if added and isinstance(inside, dict):
        last = "bogus"
    inside[last] = value
    try:
        load(tree, tmp_path)
    except ConfigError as error:
        told = error.message
        named = [str(part) for part in (*parents, last) if not isinstance(part, int)]
        assert any(name in told for name in named) or "control character" in told or "a key is one word" in told


@LIGHT
@given(TREES)
def test_any_tree_is_a_board_file_or_a_mistake_that_is_told(tree: Any) -> None:
    targets.run("board", yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogateescape"))


# files of verdicts and outputs

VALUES = st.one_of(SCALARS.filter(lambda value: not hasattr(value, "year")), st.lists(st.integers(), max_size=2))
RECORDS: list[dict[str, Any]] = [
    {
        "prompt_id": "a",
        "model": "m",
        "preference": 1.0,
        "score": 0.5,
        "label": "A>B",
        "order": "model_first",
        "turn": 1,
    },
    {"instruction": "i", "output_1": "a", "generator_1": "g", "output_2": "b", "generator_2": "m", "preference": 1.5},
    {"model": "m", "question_id": "q", "games": [{"judgment": "[[A>B]]", "score": "A>B"}, {"judgment": "[[B>A]]"}]},
    {"model_a": "a", "model_b": "b", "winner": "tie", "question_id": "q"},
    {"model": "m", "question_id": 81, "turn": 1, "judgment": "[[8]]", "judge": ["gpt-4", "single-v1"], "score": 8},
    {"model": "m", "idx": 0, "preference": 1.2, "len_model": 5, "len_baseline": 6},
]
OUTPUTS: list[dict[str, Any]] = [
    {"instruction": "i", "output": "o", "generator": "g"},
    {"prompt_id": "a", "text": "t", "finish_reason": "stop", "error": None},
    {"question_id": 81, "model_id": "m", "choices": [{"turns": ["a", "b"]}]},
    {"uid": "u", "model": "m", "messages": [{"role": "assistant", "content": {"answer": "a"}}]},
]


@pytest.mark.parametrize(("target", "records"), [("verdicts", RECORDS), ("completions", OUTPUTS)])
@LIGHT
@given(st.data())
def test_a_record_with_any_value_in_any_field_is_read_or_refused(
    target: str, records: list[dict[str, Any]], data: st.DataObject
) -> None:
    good = data.draw(st.sampled_from(records))
    bad = copy.deepcopy(good)
    (*parents, last) = data.draw(st.sampled_from([*places(bad)]))
    inside: Any = bad
    for key in parents:
        inside = inside[key]
    inside[last] = data.draw(VALUES)
    text = "".join(json.dumps(record) + "\n" for record in data.draw(st.permutations([good, bad])))
    targets.run(target, text.encode())
