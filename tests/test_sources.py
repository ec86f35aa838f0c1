from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.config import DataSource
from harness.data.sources import content_digest, load_rows, rows_of, shape_row, survey, write_rows
from harness.errors import ConfigError

SOURCE = DataSource(source="file.jsonl", split="train")


def from_file(tmp_path: Path, rows: list[dict[str, Any]], form: Any) -> list[dict[str, Any]]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_rows(DataSource(source=str(path), split="train"), form)


def test_builtin_rows_have_one_digest_per_content() -> None:
    source = DataSource(source="builtin:microtasks", split="train", rows=20)
    rows = load_rows(source, "sft")
    assert content_digest(rows) == content_digest(load_rows(source, "sft"))
    assert content_digest(rows) != content_digest(load_rows(source.model_copy(update={"seed": 1}), "sft"))


def test_public_demonstration_and_preference_files_are_understood(shared_data: Path) -> None:
    demonstrations = json.loads(gzip.decompress((shared_data / "instruct" / "alpaca_en_demo.json.gz").read_bytes()))
    for number, row in enumerate(demonstrations):
        shaped = shape_row(row, "sft", number, SOURCE)
        assert shaped["messages"][-1] == {"role": "assistant", "content": row["output"]}
        assert row["instruction"] in shaped["messages"][0]["content"]
        assert row["input"] in shaped["messages"][0]["content"]
    pairs = json.loads(gzip.decompress((shared_data / "instruct" / "dpo_en_demo.json.gz").read_bytes()))
    shaped_pairs = [shape_row(row, "preference", number, SOURCE) for number, row in enumerate(pairs)]
    assert sum(pair["prompt"][0]["role"] == "system" for pair in shaped_pairs) == 80
    assert all(pair["chosen"] == row["chosen"]["value"] for pair, row in zip(shaped_pairs, pairs, strict=True))


def test_hub_columns_are_renamed_shuffled_and_cut() -> None:
    import datasets

    table = datasets.Dataset.from_list(
        [{"talk": [{"role": "user", "content": str(n)}, {"role": "assistant", "content": "ok"}]} for n in range(9)]
    )
    source = DataSource(source="hub:org/name", split="train", rows=4, seed=3, columns={"messages": "talk"})
    rows = list(rows_of(table, source))
    assert len(rows) == 4
    assert [row["messages"][0]["content"] for row in rows] != ["0", "1", "2", "3"]
    assert rows == list(rows_of(table, source))
    wrong = source.model_copy(update={"columns": {"messages": "tlk"}})
    with pytest.raises(ConfigError, match=r'no column "tlk".*Did you mean "talk"'):
        rows_of(table, wrong)


def test_chat_preference_columns_of_public_sets_are_understood() -> None:
    turns = [{"role": "user", "content": "q"}]
    row = {
        "prompt": "q",
        "chosen": [*turns, {"role": "assistant", "content": "good"}],
        "rejected": [*turns, {"role": "assistant", "content": "bad"}],
    }
    shaped = shape_row(row, "preference", 0, SOURCE)
    assert (shaped["prompt"], shaped["chosen"], shaped["rejected"]) == (turns, "good", "bad")


@pytest.mark.parametrize(
    ("row", "form", "said"),
    [
        ({"prompt": "q", "chosen": "a"}, "preference", 'column "rejected" is missing'),
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "preference", "chosen and rejected are the same text"),
        ({"messages": [{"role": "user", "content": "q"}]}, "sft", "no assistant turn"),
        ({"messages": []}, "sft", "the conversation is empty"),
        ({"messages": [{"role": "robot", "content": "q"}]}, "prompts", 'the role "robot" is not known'),
        ({"messages": [{"role": "user", "content": None}]}, "prompts", "the user turn holds no text"),
    ],
)
def test_a_row_of_the_wrong_shape_is_named_with_its_number(
    tmp_path: Path, row: dict[str, Any], form: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"row 0: not a {form} row: .*{said}"):
        from_file(tmp_path, [row], form)


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the data set is empty"):
        from_file(tmp_path, [], "sft")


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    row = {"id": "a", "prompt": "q"}
    with pytest.raises(ConfigError, match='"a" stands twice'):
        from_file(tmp_path, [row, row], "prompts")


def test_a_survey_and_the_rows_written_later_agree_with_the_rows_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"q {n} é"}) + "\n" for n in range(5)), "utf-8")
    source = DataSource(source=str(path), split="dev", rows=4)
    found, rows = survey(source, "prompts"), load_rows(source, "prompts")
    assert (found.rows, found.digest) == (4, content_digest(rows))
    write_rows(source, "prompts", found, tmp_path / "out.jsonl")
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()] == rows


def test_data_that_change_between_planning_and_reading_are_refused_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "before"}\n')
    source = DataSource(source=str(path), split="dev")
    found = survey(source, "prompts")
    path.write_text('{"prompt": "after"}\n')
    with pytest.raises(ConfigError, match="changed between planning and reading"):
        write_rows(source, "prompts", found, tmp_path / "out.jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_file_is_read_row_by_row(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "in.jsonl"
    with path.open("w") as handle:
        handle.writelines(json.dumps({"id": str(n), "prompt": "x" * 2000}) + "\n" for n in range(2000))
    tracemalloc.start()
    try:
        found = survey(DataSource(source=str(path), split="dev"), "prompts")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.rows == 2000
    assert peak < path.stat().st_size / 4


def test_held_out_splits_have_demonstrations_and_pairs_of_the_trained_families_too() -> None:
    dev = DataSource(source="builtin:microtasks", split="dev", rows=40, seed=1)
    pairs, demonstrations = load_rows(dev, "preference"), load_rows(dev, "sft")
    prompts = [row["messages"][-1]["content"] for row in load_rows(dev, "prompts") if row["part"] == "in"]
    assert len(pairs) == len(demonstrations) == 40
    assert [row["prompt"][-1]["content"] for row in pairs][: len(prompts)] == prompts  # the same tasks, answered
    assert all(row["chosen"] and row["rejected"] and row["chosen"] != row["rejected"] for row in pairs)
    assert [row["messages"][-1]["content"] for row in demonstrations] == [row["chosen"] for row in pairs]
    trained = {
        row["prompt"][-1]["content"]
        for seed in (0, 1)
        for row in load_rows(dev.model_copy(update={"split": "preference", "rows": 160, "seed": seed}), "preference")
    }
    assert not trained & {row["prompt"][-1]["content"] for row in pairs}
