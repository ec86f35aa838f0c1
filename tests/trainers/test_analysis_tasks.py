"""The analyze specs as a researcher runs them: files, identities, resuming, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.analysis import heads, responses
from trainers.analysis.corrupt import make
from trainers.analysis.states import Pass
from trainers.checkpoint import load_model
from trainers.errors import TrainerError
from trainers.spec import read as read_spec

Run = Callable[..., Path]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def analyse(run_spec: Run) -> Run:
    def go(output: Path, name: str, *, chunk_size: int = 64, budget: int = 4096, **task: Any) -> Path:
        task = {key: str(value) if isinstance(value, Path) else value for key, value in task.items()}
        cut = {"chunk_size": chunk_size, "max_tokens_per_microbatch": budget}
        return run_spec(output, kind="analyze", task={"name": name, **task}, device="cpu", **cut)

    return go


@pytest.fixture(scope="module")
def trained(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path_factory: Any, run_spec: Run
) -> dict[str, Path]:
    """Two checkpoints: plain SFT, and f-SFT with total variation, which is the same objective."""
    folder = tmp_path_factory.mktemp("trained")
    common = {"kind": "train", "model": str(tiny_checkpoint), "data": str(sft_data), "autocast": None}
    common |= {"learning_rate": 3e-3, "epochs": 3, "batch_size": 4, "device": "cpu"}
    variation = {"name": "f_sft", "divergence": "total_variation"}
    return {
        "sft": run_spec(folder / "sft", **common) / "checkpoint",
        "total_variation": run_spec(folder / "tv", objective=variation, reference=str(references["sft"]), **common)
        / "checkpoint",
    }


@pytest.fixture(scope="module")
def passes(
    tiny_checkpoint: Path, trained: dict[str, Path], preference_data: Path, tmp_path_factory: Any, analyse: Run
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("passes")
    models = {"base": tiny_checkpoint, **trained}
    return {name: analyse(folder / name, "states", model=model, data=preference_data) for name, model in models.items()}


@pytest.fixture(scope="module")
def prompts(tiny_checkpoint: Path, tmp_path_factory: Any, run_spec: Run) -> Path:
    folder = tmp_path_factory.mktemp("prompts")
    rows = [{"id": f"p{n}", "messages": [{"role": "user", "content": text}]} for n, text in enumerate(("hi", "a b c"))]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {"kind": "tokenize", "format": "prompts", "model": str(tiny_checkpoint), "rows": str(folder / "in.jsonl")}
    return run_spec(folder / "out", **spec)


@pytest.mark.parametrize(("chunk_size", "budget"), [(64, 4096), (3, 100)])
def test_states_equal_a_plain_softmax_one_sequence_at_a_time(
    trained: dict[str, Path], preference_data: Path, tmp_path: Path, analyse: Run, chunk_size: int, budget: int
) -> None:
    model = trained["sft"]
    out = analyse(
        tmp_path / "states", "states", model=model, data=preference_data, chunk_size=chunk_size, budget=budget
    )
    found = Pass(out)
    plain = load_model(model, torch.float32, "cpu")
    for number, response in enumerate(responses.load(preference_data)):
        with torch.inference_mode():
            logits = plain(input_ids=torch.tensor([response.tokens])).logits[0, response.first - 1 :]
        own = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(response.tokens[response.first :])[:, None])[:, 0]
        np.testing.assert_allclose(found.logprob[number], own.numpy(), atol=1e-5)
        np.testing.assert_allclose(found.logsumexp[number], logits.logsumexp(-1).numpy(), atol=1e-5)
        assert found.ended[number]


def test_total_variation_is_sft_in_every_analysis(
    tiny_checkpoint: Path,
    trained: dict[str, Path],
    passes: dict[str, Path],
    prompts: Path,
    tmp_path: Path,
    analyse: Run,
) -> None:
    for name, file in (("rewards", "rewards.jsonl"), ("values", "values.jsonl")):
        both = [
            rows_of(
                analyse(tmp_path / f"{name}-{which}", name, policy=passes[which], reference=passes["base"], beta=0.5)
                / file
            )
            for which in trained
        ]
        assert both[0] == approximately(both[1])
    drawn = [
        rows_of(
            analyse(
                tmp_path / f"drift-{which}",
                "drift",
                model=model,
                reference=tiny_checkpoint,
                prompts=prompts,
                max_new_tokens=12,
            )
            / "samples.jsonl"
        )
        for which, model in trained.items()
    ]
    assert drawn[0] == approximately(drawn[1])
    assert drawn[0][0]["kl"] > 0.1  # training did move it


def approximately(value: Any) -> Any:
    """Numbers equal to 2e-3 (weights differ by rounding, a few steps on), everything else exactly."""
    if isinstance(value, dict):
        return {key: approximately(each) for key, each in value.items()}
    if isinstance(value, list):
        return [approximately(each) for each in value]
    return pytest.approx(value, abs=2e-3) if isinstance(value, float) else value


def test_a_policy_against_itself_has_no_reward(passes: dict[str, Path], tmp_path: Path, analyse: Run) -> None:
    out = analyse(tmp_path / "self", "rewards", policy=passes["sft"], reference=passes["sft"], beta=2.0)
    for row in rows_of(out / "rewards.jsonl"):
        assert row["margin"] == row["chosen"]["reward"] == row["rejected"]["reward"] == 0
    assert json.loads((out / "manifest.json").read_text())["summary"]["accuracy"] == 0.5


def test_a_run_killed_between_chunks_continues_and_ends_with_the_same_bytes(
    trained: dict[str, Path], preference_data: Path, tmp_path: Path, analyse: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analyse(tmp_path / "whole", "states", model=trained["sft"], data=preference_data, chunk_size=5)
    real, calls = heads.token_scores, []

    def dies_in_the_third(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(heads, "token_scores", dies_in_the_third)
    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        analyse(killed, "states", model=trained["sft"], data=preference_data, chunk_size=5)
    assert not (killed / "manifest.json").exists()
    kept = sorted(path.name for path in (killed / "chunks").iterdir())
    assert kept == ["00000.npz", "00001.npz"]
    (killed / "chunks" / "00001.npz").write_bytes((killed / "chunks" / "00001.npz").read_bytes()[:-40])  # torn
    analyse(killed, "states", model=trained["sft"], data=preference_data, chunk_size=5)
    assert len(calls) == 3 + 3  # chunks 1 (torn), 2 and 3; 0 was kept
    assert (killed / "states.npz").read_bytes() == (whole / "states.npz").read_bytes()
    assert not (killed / "chunks").exists()


def test_corruptions_share_the_prefix_and_differ_at_their_start(preference_data: Path) -> None:
    listed = responses.load(preference_data)
    kinds: list[Any] = ["rejected", "foreign", "shuffled", "token"]
    made = make(listed[0::2], listed[1::2], kinds, seed=3)
    assert {pair["kind"] for pair in made.pairs} == set(kinds)
    assert len(made.pairs) + sum(made.skipped.values()) == 4 * len(listed) // 2
    for pair in made.pairs:
        good, bad, k = (
            made.listed[pair["good"]],
            made.listed[pair["bad"]],
            pair["start"] + made.listed[pair["good"]].first,
        )
        assert good.tokens[:k] == bad.tokens[:k]
        assert good.tokens[k] != bad.tokens[k]
        assert k + 1 < min(len(good.tokens), len(bad.tokens))
        if pair["kind"] != "rejected":
            assert good.tokens[-1] == bad.tokens[-1]
        if pair["kind"] == "shuffled":
            assert sorted(good.tokens) == sorted(bad.tokens)
    again = make(listed[0::2], listed[1::2], kinds, seed=3)
    assert again.listed == made.listed
    assert make(listed[0::2], listed[1::2], kinds, seed=4).listed != made.listed


@pytest.fixture(scope="module")
def other_tokenizer(tiny_checkpoint: Path, tmp_path_factory: Any) -> Path:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("other") / "checkpoint"
    load_model(tiny_checkpoint, torch.float32, "cpu").save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer.add_tokens(["Lisbon"])
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["drift", "states"])
def test_a_reference_with_another_tokenizer_is_refused(
    tiny_checkpoint: Path,
    other_tokenizer: Path,
    preference_data: Path,
    prompts: Path,
    tmp_path: Path,
    analyse: Run,
    task: str,
) -> None:
    read = {
        "drift": {"reference": other_tokenizer, "prompts": prompts},
        "states": {"rendered_by": other_tokenizer, "data": preference_data},
    }[task]
    with pytest.raises(TrainerError, match="different tokenizers: 1 tokens differ, for example 'Lisbon'"):
        analyse(tmp_path / "out", task, model=tiny_checkpoint, **read)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_data_without_rejected_responses_are_no_pairs(
    tiny_checkpoint: Path, sft_data: Path, passes: dict[str, Path], tmp_path: Path, analyse: Run
) -> None:
    states = analyse(tmp_path / "states", "states", model=tiny_checkpoint, data=sft_data)
    with pytest.raises(TrainerError, match="not preference pairs: some row has no rejected answer"):
        analyse(tmp_path / "rewards", "rewards", policy=states, reference=states, beta=0.1)
    with pytest.raises(TrainerError, match="have no rejected responses"):
        analyse(tmp_path / "corrupt", "corrupt", data=sft_data)
    with pytest.raises(TrainerError, match="are of different data"):
        analyse(tmp_path / "mixed", "rewards", policy=states, reference=passes["base"], beta=0.1)
    out = analyse(tmp_path / "demo", "rewards", policy=states, reference=states, beta=0.1, pairs=False)
    assert len(rows_of(out / "rewards.jsonl")) == len(responses.load(sft_data))


@pytest.mark.parametrize(
    "setting", [{"temperature": 0}, {"temperature": 0.7}, {"top_p": 0.9}, {"top_k": 50}, {"do_sample": False}]
)
def test_drift_refuses_samples_that_are_not_the_policys_own(tmp_path: Path, setting: dict[str, Any]) -> None:
    task = {"name": "drift", "model": "m", "reference": "r", "prompts": "p", **setting}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"kind": "analyze", "output": "out", "task": task}))
    with pytest.raises(TrainerError, match="another distribution"):
        read_spec(path)
    path.write_text(json.dumps({"kind": "analyze", "output": "out", "task": task | {next(iter(setting)): 1}}))
    if "temperature" in setting or "top_p" in setting:
        assert read_spec(path).task.temperature == 1


def test_exact_kl_does_not_depend_on_the_chunk_of_the_head() -> None:
    class Head:
        def __init__(self, seed: int) -> None:
            self.weight = torch.randn(7, 4, generator=torch.Generator().manual_seed(seed))

        def get_output_embeddings(self) -> Any:
            return self

    hidden, hidden0 = torch.randn(11, 4), torch.randn(11, 4)
    target = torch.arange(11) % 7
    whole = heads.exact_kl(Head(0), Head(1), hidden, hidden0, target, chunk=100)
    for part, expected in zip(heads.exact_kl(Head(0), Head(1), hidden, hidden0, target, chunk=3), whole, strict=True):
        torch.testing.assert_close(part, expected)
    p, q = ((h @ head.weight.T).softmax(1) for h, head in ((hidden, Head(0)), (hidden0, Head(1))))
    torch.testing.assert_close(whole[0], (p * (p / q).log()).sum(1), atol=1e-5, rtol=1e-5)
