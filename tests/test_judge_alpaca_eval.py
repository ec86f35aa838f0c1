"""The alpaca_eval protocol through the whole pipeline: stored outputs, a live endpoint, a published row."""

from __future__ import annotations

import gzip
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import files
from harness.errors import ConfigError
from harness.judges import alpaca_config
from harness.plan import make_plan
from harness.progress import LineReporter
from harness.recipe_file import validated
from harness.running import Done, run
from harness.store import Store
from tests.misbehaving_endpoint import endpoint, said

ASKED = re.compile(r'"instruction": """(.*?)""",\n}', re.DOTALL)


def stored(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress((folder / name).read_bytes()))
    return found


def recipe(folder: Path, url: str, **judge: Any) -> dict[str, Any]:
    reference = str(folder / "gpt4_1106_preview.model_outputs.json.gz")
    asked = {
        "base_url": url,
        "model": "gpt-4-1106-preview",
        "concurrency": 32,
        "price": {"prompt": 10, "completion": 30},
    }
    return {
        "name": "published",
        "title": "A published row",
        "benchmark": {"source": "alpaca_eval", "path": reference, "baseline_outputs": reference},
        "externals": {"phi-2-sft": {"outputs": str(folder / "phi-2-sft.model_outputs.json.gz")}},
        "judge": {"protocol": "alpaca_eval", "endpoint": asked, **judge},
    }


def run_recipe(values: dict[str, Any], root: Path) -> Done:
    store = Store(root)
    store.prepare()
    plan = make_plan(validated(values, root / "recipe.yaml"), root / "downloads")
    return run(plan, store, LineReporter(quiet=True))


def test_phi_2_sft_gets_its_published_row_from_its_outputs_and_the_judges_log_probs(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "alpaca_eval"
    annotations = stored(folder, "phi-2-sft.annotations.json.gz")
    tops = {
        line["instruction"]: {
            top["token"]: top["logprob"] for top in line["raw_completion"]["logprobs"]["content"][0]["top_logprobs"]
        }
        for line in annotations
    }

    def judge(body: dict[str, Any], attempt: int) -> Any:
        assert body["max_tokens"] == body["temperature"] == 1
        assert body["top_logprobs"] == 5
        asked = ASKED.search(body["messages"][1]["content"])
        assert asked is not None
        return said("m", top=tops[asked[1]])

    with endpoint(judge) as served:
        done = run_recipe(recipe(folder, served.url), tmp_path)
        assert list(done.paragraphs()) == []
        assert sum(served.requests.values()) == 805
        assert run_recipe(recipe(folder, served.url), tmp_path).outcome.executed == []
    assert done.board is not None
    (row,) = files.read_json(done.board / "data.json")["rows"]
    assert row["win_rate"] == pytest.approx(3.9776, abs=5e-5)
    assert row["standard_error"] == pytest.approx(0.6098, abs=5e-5)
    assert (row["n_wins"], row["n_wins_base"], row["n_draws"], row["n"]) == (28, 777, 0, 805)
    folder_of_judge = tmp_path / row["stage_keys"]["judge"]
    written = files.read_json(folder_of_judge / "annotations.json")
    assert [line["preference"] for line in written] == pytest.approx(
        [line["preference"] for line in annotations], abs=1e-9
    )
    verdict = files.read_jsonl(folder_of_judge / "verdicts.jsonl")[0]
    assert verdict["answered_by"] == "the-judge-0001"
    assert verdict["cost"] > 0
    assert verdict["tokens"] == verdict["prompt_tokens"] + verdict["judge_completion_tokens"]


def test_every_shipped_configuration_can_be_asked_or_says_why_not() -> None:
    if find_spec("alpaca_eval") is None:
        pytest.skip("alpaca-eval is not installed here")
    refused = {}
    for name in alpaca_config.shipped():
        try:
            config = alpaca_config.load(name)
        except ConfigError as error:
            refused[name] = error.message
            continue
        text = "".join(turn["content"] for turn in config.template)
        assert all(f"{{{field}}}" in text for field in ("instruction", "output_1", "output_2")), name
        assert config.sampling["max_tokens"] >= 1
    assert all("cannot be asked here" in why for why in refused.values())
    assert len(refused) < len(alpaca_config.shipped()) / 4
    assert "weighted_alpaca_eval_gpt4_turbo" not in refused
    with pytest.raises(ConfigError, match='Did you mean "weighted_alpaca_eval_gpt4_turbo"'):
        alpaca_config.load("weighted_alpaca_eval_gpt4_turb")


def test_a_file_of_another_shape_and_a_baseline_that_misses_prompts_are_refused(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "alpaca_eval"
    values = recipe(folder, "http://127.0.0.1:9/v1")
    for name, content, said_of_it in (
        ("short.json", [{"instruction": "a", "output": "b"}], "has 1 prompts; alpaca_eval has 805"),
        ("other.json", [{"question": "a"}], "no instruction"),
    ):
        (tmp_path / name).write_text(json.dumps(content))
        with pytest.raises(ConfigError, match=said_of_it):
            run_recipe(values | {"benchmark": values["benchmark"] | {"path": str(tmp_path / name)}}, tmp_path / "store")
    outputs = stored(folder, "gpt4_1106_preview.model_outputs.json.gz")[:-2]
    (tmp_path / "less.json").write_text(json.dumps(outputs))
    less = values | {"benchmark": values["benchmark"] | {"baseline_outputs": str(tmp_path / "less.json")}}
    done = run_recipe(less, tmp_path / "store")
    assert "no output for 2 of 805 prompts: alpaca_eval-803, alpaca_eval-804" in "\n".join(done.paragraphs())


def test_a_recipe_without_its_key_says_which_variable_is_missing(shared_data: Path, tmp_path: Path) -> None:
    values = recipe(shared_data / "alpaca_eval", "http://127.0.0.1:9/v1")
    values["judge"]["endpoint"]["api_key_env"] = "NO_SUCH_KEY"
    assert yaml.safe_dump(values)
    told = "\n".join(run_recipe(values, tmp_path).paragraphs())
    assert "NO_SUCH_KEY holds no key" in told
