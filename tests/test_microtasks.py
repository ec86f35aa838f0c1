"""The built-in tasks as data sets: sizes, shapes, determinism, splits that share nothing."""

from __future__ import annotations

import hashlib
import json
import os
import string
import subprocess
import sys
from collections import Counter
from itertools import combinations
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import microtasks
from harness.data.microtasks import assembly, pools, retain, words
from harness.data.microtasks.family import Family
from harness.errors import ConfigError

SPLITS: tuple[pools.Split, ...] = get_args(pools.Split)
TRAINED: tuple[pools.Split, ...] = ("train", "preference")
DEFAULT = {split: assembly.items(split, assembly.DEFAULT_ROWS[split], 0) for split in SPLITS}
SEEDS = st.integers(0, 10_000)


def families(part: str) -> list[Family]:
    return [family for family in assembly.FAMILIES if family.part == part]


def fields(template: str) -> set[str]:
    """The fields a phrasing fills; "one" is a subject after its article."""
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    return {"subject" if name in ("one", "thing", "topic") else name for name in names}


def test_default_sizes_and_parts_are_as_documented() -> None:
    sizes = {split: len(microtasks.build(split, rows=None)) for split in SPLITS}
    assert sizes == {"train": 384, "preference": 160, "dev": 300, "eval": 300}
    parts = Counter(row["part"] for row in microtasks.build("eval", rows=None))
    assert parts == {"in": 180, "out": 60, "retain": 60}
    assert {row["part"] for row in microtasks.build("train", rows=None)} == {"in"}


def test_there_are_enough_families_and_names_are_unique() -> None:
    assert len(families("in")) >= 10
    assert len(families("out")) >= 3
    assert len(set(microtasks.FAMILIES)) == len(microtasks.FAMILIES) == len(assembly.FAMILIES)


@given(rows=st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_any_number_of_rows_keeps_the_proportions_of_the_parts(rows: int) -> None:
    sizes = assembly.part_sizes("eval", rows)
    assert sum(sizes.values()) == rows
    assert all(abs(sizes[part] - share * rows) < 1 for part, share in assembly.SHARES.items())


@pytest.mark.parametrize("split", SPLITS)
def test_families_of_a_part_take_turns(split: pools.Split) -> None:
    rows = microtasks.build(split, rows=None)
    for part in {row["part"] for row in rows}:
        counts = Counter(row["family"] for row in rows if row["part"] == part)
        assert set(counts) == {family.name for family in families(part)}
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("split", SPLITS)
def test_fewer_rows_are_the_first_rows_of_each_family(split: pools.Split) -> None:
    full = {row["id"]: row for row in microtasks.build(split, rows=None)}
    few = microtasks.build(split, rows=70)
    assert all(full[row["id"]] == row for row in few)


@pytest.mark.parametrize("split", SPLITS)
def test_ids_and_prompts_are_unique_and_rows_survive_json(split: pools.Split) -> None:
    rows = microtasks.build(split, rows=None)
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({item.prompt for item in DEFAULT[split]}) == len(rows)
    assert json.loads(json.dumps(rows)) == rows


def test_rows_have_the_shapes_that_stages_read() -> None:
    train, pair = microtasks.build("train", rows=1)[0], microtasks.build("preference", rows=1)[0]
    prompt = microtasks.build("eval", rows=1)[0]
    assert [turn["role"] for turn in train["messages"]] == ["user", "assistant"]
    assert [turn["role"] for turn in pair["prompt"]] == ["user"]
    assert isinstance(pair["chosen"], str)
    assert isinstance(pair["rejected"], str)
    assert [turn["role"] for turn in prompt["messages"]] == ["user"]
    assert {"family", "part", "check"} <= prompt.keys()


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_every_demonstration_scores_one_and_every_rejected_response_less(seed: int) -> None:
    for split in TRAINED:
        for item in assembly.items(split, 200, seed):
            task = item.task
            assert microtasks.score(task.check, task.chosen) == 1, item.prompt
            assert len(task.rejected) >= 3
            for rejected in task.rejected:
                assert microtasks.score(task.check, rejected) < 1, (item.prompt, rejected)


def test_preference_rows_score_one_and_less_than_one() -> None:
    for row in microtasks.build("preference", rows=None):
        assert row["chosen"] != row["rejected"]
        assert microtasks.score(row["check"], row["rejected"]) < microtasks.score(row["check"], row["chosen"]) == 1


def test_demonstrations_and_prompts_are_short() -> None:
    for split in SPLITS:
        for item in DEFAULT[split]:
            assert len(item.task.chosen) <= 200
            assert len(item.prompt) <= 300, item.prompt


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    assert microtasks.build("train", rows=50, seed=3) == microtasks.build("train", rows=50, seed=3)
    assert microtasks.build("train", rows=50, seed=3) != microtasks.build("train", rows=50, seed=4)


def digest_of(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def test_rows_do_not_depend_on_the_hash_seed_of_the_interpreter() -> None:
    code = (
        "import hashlib, json; from harness.data import microtasks as m;"
        "rows = m.build('eval', rows=None) + m.build('train', rows=60);"
        "print(hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest())"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    here = digest_of(microtasks.build("eval", rows=None) + microtasks.build("train", rows=60))
    assert run == [here, here]


@pytest.mark.parametrize(("one", "other"), list(combinations(SPLITS, 2)))
def test_no_phrasing_is_in_two_splits(one: pools.Split, other: pools.Split) -> None:
    for family in assembly.FAMILIES:
        mine, theirs = family.phrasings.get(one, ()), family.phrasings.get(other, ())
        assert not set(mine) & set(theirs), family.name


def test_every_phrasing_of_a_family_asks_for_the_same_fields() -> None:
    for family in assembly.FAMILIES:
        used = {frozenset(fields(text)) for texts in family.phrasings.values() for text in texts}
        assert len(used) == 1, family.name


def test_trained_families_have_several_phrasings_and_the_others_none_to_train_with() -> None:
    for family in families("in"):
        assert [len(family.phrasings[split]) for split in SPLITS] >= [4, 2, 2, 2], family.name
    for family in families("out") + families("retain"):
        assert set(family.phrasings) == {"dev", "eval"}, family.name


@given(seeds=st.tuples(SEEDS, SEEDS, SEEDS, SEEDS))
@settings(max_examples=10, deadline=None)
def test_no_prompt_and_no_values_are_in_two_splits_whatever_the_seeds(seeds: tuple[int, ...]) -> None:
    made = [assembly.items(split, 200, seed) for split, seed in zip(SPLITS, seeds, strict=True)]
    for one, other in combinations(made, 2):
        assert not {item.prompt for item in one} & {item.prompt for item in other}
        keys = [{(item.family.name, item.task.values) for item in side} for side in (one, other)]
        assert not keys[0] & keys[1]


@pytest.mark.parametrize("kind", words.KINDS)
def test_the_splits_divide_every_kind_of_word(kind: str) -> None:
    shares = [pools.share(kind, words.KINDS[kind], split) for split in SPLITS]
    assert sorted(word for share in shares for word in share) == sorted(words.KINDS[kind])
    assert all(len(share) >= 4 for share in shares)


def test_no_word_is_of_two_kinds() -> None:
    counts = Counter(word for kind in words.KINDS.values() for word in kind)
    assert [word for word, count in counts.items() if count > 1] == []


def test_words_that_eval_draws_do_not_come_up_in_training_prompts() -> None:
    """Objects and animals only: the phrasings themselves use no such word."""
    trained = " ".join(item.prompt for split in TRAINED for item in DEFAULT[split])
    seen = set(trained.lower().replace(",", " ").replace(".", " ").replace(":", " ").split())
    fresh = set(pools.share("animal", words.KINDS["animal"], "eval"))
    assert fresh & {word for item in DEFAULT["eval"] for word in item.prompt.lower().split()}
    assert not fresh & seen


def test_numbers_that_a_split_draws_belong_to_no_other_split() -> None:
    drawn: dict[pools.Split, set[int]] = {}
    for split in SPLITS:
        pool = pools.Pool(split, pools.Draw("numbers"))
        drawn[split] = {pool.number(10, 99) for _ in range(400)} | {pool.number(50, 300) for _ in range(400)}
        assert len(drawn[split]) >= 10
    assert all(not drawn[one] & drawn[other] for one, other in combinations(SPLITS, 2))


def test_retain_subjects_are_in_dev_or_eval_and_never_in_both() -> None:
    subjects = retain.parse("a | x\nb | y | z\nc | u & v")
    assert subjects == [("a", [["x"]]), ("b", [["y", "z"]]), ("c", [["u"], ["v"]])]
    dev, evaluation = (retain.half("question", subjects, split) for split in ("dev", "eval"))
    assert sorted(subject for subject, _ in dev + evaluation) == ["a", "b", "c"]


def test_a_family_that_runs_out_of_tasks_says_so() -> None:
    with pytest.raises(ConfigError, match=r"eval: \w+ has only \d+ different tasks") as caught:
        microtasks.build("eval", rows=5000)
    assert "300" in caught.value.hint


def test_double_the_default_training_rows_can_be_had() -> None:
    assert len(microtasks.build("train", rows=768)) == 768
    assert len(microtasks.build("preference", rows=320)) == 320


def test_an_unknown_split_and_an_impossible_number_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'no split "evla"\. Did you mean "eval"'):
        microtasks.build("evla", rows=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="0 rows"):
        microtasks.build("eval", rows=0)
