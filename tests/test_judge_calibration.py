"""Calibration against known truth, and what judges would cost, asked through the command line's own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import calibration, files
from harness.cli import bridgebench
from harness.errors import ConfigError
from tests.judged_items import NAMES
from tests.misbehaving_endpoint import endpoint
from tests.test_judge_asking import MARKS, verdict

PAIRS = 20


def recipe(folder: Path, url: str, **judge: Any) -> Path:
    files.write_jsonl(folder / "prompts.jsonl", [{"id": "a", "instruction": "Say hi"}])
    for row in ("one", "two"):
        files.write_jsonl(folder / f"{row}.jsonl", [{"prompt_id": "a", "text": f"hi from {row}"}])
    values = {
        "name": "board",
        "title": "A board with a judge",
        "benchmark": {"source": str(folder / "prompts.jsonl")},
        "externals": {row: {"outputs": str(folder / f"{row}.jsonl")} for row in ("one", "two")},
        "judge": {
            "protocol": "pairwise",
            "baseline": "two",
            "endpoint": {"base_url": url, "model": "judge", "price": {"prompt": 1.0, "completion": 2.0}},
            **judge,
        },
    }
    (folder / "board.yaml").write_text(json.dumps(values))
    return folder / "board.yaml"


def bench(store: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(bridgebench, ["--results", str(store), "-q", *arguments])
    assert done.exit_code == code, done.output + done.stderr
    return done.stdout


def always_first(body: dict[str, Any], attempt: int) -> Any:
    return verdict(body, "A")


def the_longer(body: dict[str, Any], attempt: int) -> Any:
    content = body["messages"][-1]["content"]
    assert MARKS.search(content)
    a, b = (content.split(f"<answer-{side}-")[1].split(f"</answer-{side}-")[0] for side in "AB")
    return verdict(body, "A" if len(a) > len(b) else "B")


def test_a_judge_that_takes_the_first_answer_is_right_half_the_time_and_said_to_be_biased(tmp_path: Path) -> None:
    store = tmp_path / "results"
    with endpoint(always_first) as served:
        path = recipe(tmp_path, served.url)
        found = json.loads(bench(store, "judge", "calibrate", str(path), "--pairs", str(PAIRS), "--json"))
        asked = sum(served.requests.values())
        assert asked == 2 * found["n"]
        assert found["accuracy"] == 50
        assert (found["first_position_rate"], found["position_consistency"]) == (100, 0)
        assert "accuracy" in bench(store, "judge", "calibrate", str(path), "--pairs", str(PAIRS))
        assert sum(served.requests.values()) == asked
        bench(store, "run", str(path))
    board = files.read_json(store / "boards" / "board" / "data.json")
    measures = board["calibration"].pop("measures")
    assert board["calibration"] == {key: value for key, value in found.items() if key != "identity"}
    assert [each["value"] for each in measures] == [50, 100, 0, found["length_bias"]]
    assert "Judge calibration" in (store / "boards" / "board" / "index.html").read_text()


def test_a_judge_that_takes_the_longer_answer_shows_length_bias(tmp_path: Path) -> None:
    with endpoint(the_longer) as served:
        path = recipe(tmp_path, served.url)
        found = json.loads(
            bench(tmp_path / "results", "judge", "calibrate", str(path), "--pairs", str(PAIRS), "--json")
        )
    known = calibration.pairs(PAIRS)
    right = [len(pair.good) > len(pair.bad) for pair in known if len(pair.good) != len(pair.bad)]
    assert found["length_bias"] == pytest.approx(100 * (1 - sum(right) / len(right)))
    assert found["length_bias_low"] > 0
    assert found["position_consistency"] == pytest.approx(100 * len(right) / len(known), abs=100 / len(known) * 3)


def test_the_rules_judge_is_right_about_every_pair(tmp_path: Path) -> None:
    path = recipe(tmp_path, "http://127.0.0.1:9/v1")
    values = json.loads(path.read_text()) | {"judge": {"name": "rules", "baseline": "two"}}
    path.write_text(json.dumps(values))
    found = json.loads(bench(tmp_path / "results", "judge", "calibrate", str(path), "--pairs", "30", "--json"))
    assert found["accuracy"] == 100
    assert found["length_bias"] == 0


def test_figures_of_perfect_and_reversed_judges_are_exact() -> None:
    line = NAMES | {"order": "model_first", "length_model": 5, "length_baseline": 9}
    perfect = [line | {"prompt_id": str(n), "preference": 1.0} for n in range(40)]
    assert calibration.figures(perfect)["accuracy"] == 100
    assert calibration.figures(perfect)["length_bias"] == 0
    reversed_ = [each | {"preference": 0.0} for each in perfect]
    assert calibration.figures(reversed_)["accuracy"] == 0
    assert calibration.figures(reversed_)["length_bias"] == 100
    assert calibration.figures([*perfect, line | {"prompt_id": "x", "preference": None}])["n_missing"] == 1


def test_a_dry_run_counts_what_is_left_to_ask_and_sends_nothing(tmp_path: Path) -> None:
    store = tmp_path / "results"
    with endpoint(always_first) as served:
        path = recipe(tmp_path, served.url, max_tokens=100)
        before = json.loads(bench(store, "judge", "dry-run", str(path), "--json"))
        assert served.requests == {}
        assert [row["row"] for row in before] == ["one", "two"]
        assert before[0]["questions"] == 2
        assert before[0]["completion_tokens"] == 200
        assert before[0]["money"] == pytest.approx((before[0]["prompt_tokens"] + 2 * 200) / 1e6)
        assert "not generated yet" in before[0]["method"]
        bench(store, "run", str(path))
        after = json.loads(bench(store, "judge", "dry-run", str(path), "--json"))
        assert [row["prompt_tokens"] for row in after] == [0, 0]
        changed = json.loads(bench(store, "judge", "dry-run", str(path), "--set", "judge.max_tokens=50", "--json"))
    sent = sum(len(message["content"]) for body in served.bodies for message in body["messages"])
    counted = sum(row["prompt_tokens"] for row in changed)
    assert counted == pytest.approx(sent / 4, rel=0.05)
    assert "four characters a token" in bench(store, "judge", "dry-run", str(path), "--set", "judge.max_tokens=50")


def test_a_judge_of_single_answers_cannot_be_calibrated_on_pairs(tmp_path: Path) -> None:
    from harness.recipe_file import load

    judge = {"protocol": "mt_bench", "baseline": None}
    loaded = load(str(recipe(tmp_path, "http://127.0.0.1:9/v1", **judge)))
    with pytest.raises(ConfigError, match="rates single answers"):
        calibration._judge(loaded, None)
