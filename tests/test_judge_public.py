"""Arena-Hard and MT-Bench through the whole pipeline: their own files, their prompts, two games, two turns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import benchmarks, files
from harness.adapters import records
from harness.config import Benchmark
from harness.errors import ConfigError
from harness.judges.mtbench import MtBench
from harness.judges.settings import MtBenchJudge
from harness.protocols import arena_hard as arena_rules
from harness.protocols.mt_bench import TEMPERATURES
from harness.store import Store
from tests.judged_items import item
from tests.misbehaving_endpoint import endpoint, said
from tests.test_judge_served import run_recipe

# the form of the user prompt as the published judgments show it
ARENA_FORM = (
    "<|User Prompt|>\n{question_1}\n\n<|The Start of Assistant A's Answer|>\n{answer_1}\n"
    "<|The End of Assistant A's Answer|>\n\n<|The Start of Assistant B's Answer|>\n{answer_2}\n"
    "<|The End of Assistant B's Answer|>"
)
MODEL = "mistral-7b"


def test_arena_hard_asks_what_the_published_run_asked_and_gets_its_battles(shared_data: Path, tmp_path: Path) -> None:
    mini = shared_data / "arena_hard" / "mini_run"
    judgments = records.read(mini / "model_judgment" / "gpt-4-1106-preview" / f"{MODEL}.jsonl")
    texts = {game["user_prompt"]: game["judgment"] for line in judgments for game in line["games"]}
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump({"system_prompt": "Judge.", "prompt_template": [ARENA_FORM]}))

    def judge(body: dict[str, Any], attempt: int) -> Any:
        return said(texts[body["messages"][1]["content"]], tokens=500)

    with endpoint(judge) as served:
        values = {
            "name": "mini",
            "title": "The mini run",
            "benchmark": {
                "source": "arena_hard_v0.1",
                "path": str(mini / "question.jsonl"),
                "rows": 10,
                "baseline_outputs": str(mini / "model_answer" / "truth_model.jsonl"),
            },
            "externals": {MODEL: {"outputs": str(mini / "model_answer" / f"{MODEL}.jsonl")}},
            "judge": {
                "protocol": "arena_hard",
                "prompts": str(tmp_path / "judge.yaml"),
                "endpoint": {"base_url": served.url, "model": "gpt-4-1106-preview"},
            },
        }
        done = run_recipe(values, Store(tmp_path / "results"))
    assert list(done.paragraphs()) == []
    assert done.board is not None
    (row,) = files.read_json(done.board / "data.json")["rows"]
    verdicts = files.read_jsonl(tmp_path / "results" / row["stage_keys"]["judge"] / "verdicts.jsonl")
    assert len(verdicts) == 20
    battles = [line for line in records.read(mini / "arena_hard_battles.jsonl") if line["model_b"] == MODEL]
    # the run counted a strong verdict once
    ours = Counter((line["prompt_id"], arena_rules.winner(line["preference"])) for line in verdicts)
    assert ours == Counter((line["question_id"], line["winner"]) for line in battles)
    weights = [line["weight"] for line in verdicts]
    expected = sum(w * line["preference"] for w, line in zip(weights, verdicts, strict=True)) / sum(weights)
    assert row["win_rate"] == pytest.approx(100 * expected)
    assert row["n"] == 10
    assert row["win_rate_low"] < row["win_rate"] < row["win_rate_high"]


MT_QUESTIONS = [
    {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Now rhyme it."]},
    {"question_id": 111, "category": "math", "turns": ["What is 2+3?", "And doubled?"]},
]
MT_ANSWERS = [{"question_id": 111, "choices": [{"turns": ["It is 5.", "It is 10 {answer}."]}]}]


def rate(body: dict[str, Any], attempt: int) -> Any:
    """As the model: numbered answers. As the judge: 7 with a reference, 4 without, half a point more in turn two."""
    content = body["messages"][-1]["content"]
    if body["model"] == "model":
        return said(f"<think>hm [[1]]</think>answer to {content!r} after {len(body['messages'])} messages", tokens=6)
    rating = (7 if "It is 5." in content else 4) + (0.5 if "Second request" in content else 0)
    return said(f"Fine. Rating: [[{rating:g}]]", tokens=20)


@pytest.mark.slow
def test_mt_bench_follows_the_first_answer_with_the_second_turn_and_rates_both(tmp_path: Path) -> None:
    files.write_jsonl(tmp_path / "question.jsonl", MT_QUESTIONS)
    files.write_jsonl(tmp_path / "gpt-4.jsonl", MT_ANSWERS)
    with endpoint(rate) as served:
        values = {
            "name": "mt",
            "title": "MT-Bench",
            "base": "random:tiny-llama",
            "benchmark": {
                "source": "mt_bench",
                "path": str(tmp_path / "question.jsonl"),
                "reference_answers": str(tmp_path / "gpt-4.jsonl"),
                "rows": 2,
            },
            "externals": {"remote": {"endpoint": {"base_url": served.url, "model": "model"}}},
            "generate": {"backend": "transformers", "max_new_tokens": 8},
            "judge": {"protocol": "mt_bench", "endpoint": {"base_url": served.url, "model": "gpt-4"}},
        }
        store = Store(tmp_path / "results")
        done = run_recipe(values, store)
        assert list(done.paragraphs()) == []
        asked = [body for body in served.bodies if body["model"] == "model"]
        judged = [body["messages"][-1]["content"] for body in served.bodies if body["model"] == "gpt-4"]
    temperatures = {body["messages"][0]["content"]: body["temperature"] for body in asked}
    assert temperatures == {"Write a line.": TEMPERATURES["writing"], "What is 2+3?": TEMPERATURES["math"]}
    second = next(body["messages"] for body in asked if body["messages"][-1]["content"] == "And doubled?")
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == "answer to 'What is 2+3?' after 1 messages"  # without the reasoning
    assert all("hm [[1]]" not in text for text in judged)
    assert any("It is 10 {answer}." in text for text in judged)  # a placeholder in a reference fills nothing
    assert done.board is not None
    rows = {row["row"]: row for row in files.read_json(done.board / "data.json")["rows"]}
    for row in rows.values():
        assert (row["score"], row["turn_1"], row["turn_2"]) == (5.75, 5.5, 6.0)
        assert (row["n"], row["n_failed"]) == (4, 0)
        assert row["win_rate"] is None
    base = [stage for stage in done.plan.stages if stage.kind == "generate" and stage.label == "base, turn 2"]
    completions = files.read_jsonl(store.path("generate", base[0].key) / "completions.jsonl")
    first = {line["prompt_id"]: line["text"] for line in files.read_jsonl(first_turn(done, store))}
    assert {line["sampling"]["temperature"] for line in completions} == {0.7, 0.0}
    for line in completions:
        assert line["messages"][1] == {"role": "assistant", "content": first[line["prompt_id"]]}


def first_turn(done: Any, store: Store) -> Path:
    (stage,) = [stage for stage in done.plan.stages if stage.kind == "generate" and stage.label == "base"]
    return store.path("generate", stage.key) / "completions.jsonl"


def test_mt_bench_without_reference_answers_for_math_is_refused_and_own_wording_is_marked(tmp_path: Path) -> None:
    protocol = MtBench(MtBenchJudge(protocol="mt_bench", endpoint={"base_url": "http://127.0.0.1:1", "model": "j"}))
    assert protocol.identity()["wording"] == "own"
    row = item("111", other=None, family="math", second_turn="And?")
    with pytest.raises(ConfigError, match="has no reference answer"):
        protocol.questions(row)
    for name, line, said_of_it in (
        ("one_turn", {"question_id": 1, "category": "math", "turns": ["a"]}, "not a question of MT-Bench"),
        ("category", {"question_id": 1, "category": "sport", "turns": ["a", "b"]}, "sport"),
    ):
        files.write_jsonl(tmp_path / f"{name}.jsonl", [line])
        with pytest.raises(ConfigError, match=said_of_it):
            benchmarks.load(Benchmark(source="mt_bench", path=str(tmp_path / f"{name}.jsonl")))
    with pytest.raises(ConfigError, match='Did you mean "mt_bench"'):
        benchmarks.is_public("mt_bnch")
    files.write_jsonl(tmp_path / "prompts.jsonl", [{"name": "single-v1", "system_prompt": "", "prompt_template": ""}])
    judge = {"endpoint": {"base_url": "http://127.0.0.1:1", "model": "j"}, "prompts": str(tmp_path / "prompts.jsonl")}
    with pytest.raises(ConfigError, match="lacks the judge prompts single-math-v1"):
        MtBench(MtBenchJudge(protocol="mt_bench", **judge))
    assert json.dumps(judge)
