"""Replayed verdicts: taken for the very outputs they were made for, and for no others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness import files
from harness.config import DataSource
from harness.data.sources import load_rows
from harness.judges import replay, rules
from harness.judges.question import Item
from harness.judges.settings import ReplayJudge
from tests.test_judge_alpaca_eval import recipe, run_recipe, stored

NAMES = {"model": "m", "baseline": "base", "judge_key": "0" * 16}


def completion(prompt: str, text: str) -> dict[str, Any]:
    asked = [{"role": "user", "content": prompt}]
    ended = {"finish_reason": "stop", "completion_tokens": 1, "error": None}
    return {"prompt_id": prompt, "messages": asked, "text": text, **ended}


def item(prompt: str, own: str, other: str) -> Item:
    row = {"id": prompt, "part": "all", "family": "all"}
    return Item(row, [completion(prompt, own)], completion(prompt, other))


def replayed(path: Path, *items: Item) -> list[tuple[float | None, str | None]]:
    lines = replay.verdict_lines(ReplayJudge(protocol="replay", verdicts=str(path)), list(items), NAMES)
    return [(line["preference"], line.get("failure")) for line in lines]


def test_the_published_row_comes_back_from_its_published_annotations(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "alpaca_eval"
    values = recipe(folder, "")
    annotations = folder / "phi-2-sft.annotations.json.gz"
    values["judge"] = {"protocol": "replay", "verdicts": str(annotations), "baseline": "reference"}
    done = run_recipe(values, tmp_path)
    assert list(done.paragraphs()) == []
    assert done.board is not None
    (row,) = files.read_json(done.board / "data.json")["rows"]
    assert row["win_rate"] == pytest.approx(3.9776, abs=5e-5)
    assert (row["n"], row["n_wins"], row["n_wins_base"]) == (805, 28, 777)


def test_an_annotation_of_another_output_or_another_baseline_is_not_taken(shared_data: Path, tmp_path: Path) -> None:
    record = stored(shared_data / "alpaca_eval", "phi-2-sft.annotations.json.gz")[0]
    path = tmp_path / "annotations.json.gz"
    path.write_bytes(gzip.compress(json.dumps([record]).encode()))
    asked, own, other = record["instruction"], record["output_2"], record["output_1"]
    ((preference, failure),) = replayed(path, item(asked, own, other))
    assert (preference, failure) == (pytest.approx(record["preference"] - 1), None)
    same_length = "?" + own[1:]
    assert replayed(path, item(asked, same_length, other)) == [(None, "not_stored")]
    assert replayed(path, item(asked, own, other + " ")) == [(None, "not_stored")]


def test_verdicts_of_the_rules_are_taken_for_the_same_texts_and_not_for_texts_of_the_same_length(
    tmp_path: Path,
) -> None:
    (prompt,) = load_rows(DataSource(source="builtin:microtasks", split="dev", rows=10), "prompts")[:1]
    own, other = completion(prompt["id"], "yes"), completion(prompt["id"], "no!")
    judged = rules.judge([prompt], [own], [other], model="m", baseline_name="base", judge_key="k" * 16)
    path = tmp_path / "verdicts.jsonl"
    files.write_jsonl(path, judged)
    name = prompt["id"]
    assert replayed(path, item(name, "yes", "no!")) == [(0.5, None)]
    assert replayed(path, item(name, "yes", "not")) == [(None, "not_stored")]
    assert replayed(path, item(name, "yet", "no!"), item("q", "yes", "no!")) == [(None, "not_stored")] * 2


def test_a_verdict_with_the_digest_of_its_outputs_is_taken_by_it(tmp_path: Path) -> None:
    judged = item("p", "yes", "no!")
    fresh = replay.verdicts.common(judged, 1, NAMES) | {"preference": 0.25}
    path = tmp_path / "verdicts.jsonl"
    files.write_jsonl(path, [fresh])
    assert replayed(path, judged) == [(0.25, None)]
    assert replayed(path, item("p", "yea", "no!")) == [(None, "not_stored")]
