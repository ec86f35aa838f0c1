"""Stored outputs matched to a benchmark's prompts: AlpacaEval's real files, and what does not fit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.backends import precomputed
from harness.errors import ConfigError

Line = dict[str, Any]


def prompts(*texts: str) -> list[Line]:
    return [{"id": f"p{number}", "messages": [{"role": "user", "content": text}]} for number, text in enumerate(texts)]


def line(instruction: str, output: str = "x") -> Line:
    return {"instruction": instruction, "output": output, "generator": "m"}


@pytest.fixture(scope="module")
def alpaca(shared_data: Path) -> list[Line]:
    """The 805 instructions as a benchmark's prompts."""
    import pandas as pd

    return prompts(*pd.read_parquet(shared_data / "alpaca_eval" / "instructions.parquet")["instruction"])


@pytest.mark.parametrize("name", ["phi-2-sft", "gpt4_1106_preview"])
def test_published_outputs_of_alpaca_eval_fit_its_instructions(
    shared_data: Path, alpaca: list[Line], name: str
) -> None:
    path = shared_data / "alpaca_eval" / f"{name}.model_outputs.json.gz"
    found = precomputed.match(precomputed.read(path), alpaca, path)
    assert len(found) == 805
    assert None not in found
    for prompt, output in zip(alpaca, found, strict=True):
        assert output is not None
        assert output["instruction"].strip() == prompt["messages"][0]["content"].strip()


def test_the_baselines_published_lengths_are_those_of_the_matched_outputs(
    shared_data: Path, alpaca: list[Line]
) -> None:
    """The judge's public annotations carry the lengths of what it read, by the instruction's number."""
    import pandas as pd

    path = shared_data / "alpaca_eval" / "gpt4_1106_preview.model_outputs.json.gz"
    found = precomputed.match(precomputed.read(path), alpaca, path)
    table = pd.read_parquet(shared_data / "alpaca_eval" / "annotations.parquet")
    known = table[table["model"] == table["model"].iloc[0]].sort_values("idx")
    lengths = [len(found[index]["output"]) for index in known["idx"]]  # type: ignore[index]
    assert lengths == list(known["len_baseline"])


def test_a_missing_a_repeated_and_a_foreign_instruction_are_named(shared_data: Path, alpaca: list[Line]) -> None:
    path = shared_data / "alpaca_eval" / "phi-2-sft.model_outputs.json.gz"
    lines = precomputed.read(path)
    with pytest.raises(ConfigError, match="no output for 2 of 805 prompts: p803, p804") as caught:
        precomputed.match(lines[:-2], alpaca, path)
    assert "--max-missing 0.003" in caught.value.hint
    assert precomputed.match(lines[:-2], alpaca, path, allowed=0.01)[-2:] == [None, None]
    with pytest.raises(ConfigError, match="answers 1 prompts more than once"):
        precomputed.match([*lines, lines[3]], alpaca, path)
    with pytest.raises(ConfigError, match='1 outputs whose instruction the benchmark does not ask: "Who am I"'):
        precomputed.match([*lines, line("Who am I")], alpaca, path)


@pytest.mark.parametrize(("asked", "lacking"), [(7, 2), (805, 2), (805, 1), (3, 1)])
def test_the_share_that_the_hint_names_is_enough(asked: int, lacking: int) -> None:
    questions = prompts(*(f"question {number}" for number in range(asked)))
    lines = [line(f"question {number}") for number in range(asked - lacking)]
    with pytest.raises(ConfigError) as caught:
        precomputed.match(lines, questions, Path("f"))
    share = float(caught.value.hint.split()[1])
    assert precomputed.match(lines, questions, Path("f"), share).count(None) == lacking


def test_an_instruction_that_is_asked_twice_takes_its_outputs_in_order() -> None:
    found = precomputed.match([line("a", "1"), line("b", "2"), line("a", "3")], prompts("a", "a", "b"), Path("f"))
    assert [each and each["output"] for each in found] == ["1", "3", "2"]


def test_line_ends_and_outer_spaces_do_not_make_an_instruction_another() -> None:
    found = precomputed.match([line(" a\r\nb\n")], prompts("a\nb"), Path("f"))
    assert found[0] is not None


def test_our_own_completions_are_matched_by_prompt_id(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl.gz"
    rows = [{"prompt_id": "p1", "text": "one", "finish_reason": "length"}, {"prompt_id": "p0", "text": "zero"}]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    found = precomputed.match(precomputed.read(path), prompts("a", "b"), path)
    assert [each and each["text"] for each in found] == ["zero", "one"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no outputs"),
        ("[]", "holds no outputs"),
        ("{", "neither a JSON list nor JSON Lines"),
        ('[{"instruction": "a"}]', "output 0: it has no text"),
        ('[{"output": "a"}]', "output 0: it names no instruction"),
        ("[1]", "output 0: it has no text"),
    ],
)
def test_a_file_that_holds_no_outputs_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        precomputed.read(path)
