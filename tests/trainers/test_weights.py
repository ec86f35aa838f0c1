"""How weights are kept: what small updates do in each dtype, rounding at random, resuming, checkpointing, adapters."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.test_training import train_spec, write_spec
from trainers import loop
from trainers.checkpoint import load_model
from trainers.errors import TrainerError
from trainers.optimizer import round_at_random
from trainers.spec import ADAPTER

KEPT = ["float32", "bfloat16_master", "bfloat16_stochastic", "bfloat16"]


def trained(model: Path, data: Path, output: Path, **more: Any) -> loop.Trainer:
    """A trainer that has taken all its steps."""
    trainer = loop.Trainer(ADAPTER.validate_python(train_spec(model, data, output, **more)), output)
    trainer.fit()
    return trainer


def flat(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([weights[name].float().flatten() for name in sorted(weights)])


def test_a_small_learning_rate_is_swallowed_kept_on_average_or_kept_exactly(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    start = flat(load_file(tiny_checkpoint / "model.safetensors"))
    moved, survived = {}, {}
    for kept in KEPT:
        more = {"learning_rate": 2e-6, "epochs": 10, "schedule": "constant", "weight_dtype": kept}
        trainer = trained(tiny_checkpoint, sft_data, tmp_path / kept, autocast="bfloat16", **more)
        begin = start if kept == "float32" else start.bfloat16().float()
        moved[kept] = flat(loop.plain_weights(trainer.scorer, trainer.optimizer)) - begin
        survived[kept] = trainer.metrics.summary()["surviving_updates"]
    path = moved["float32"]

    def along(kept: str) -> float:
        """How far along float32's path the weights went, 1 being all the way."""
        return float(moved[kept] @ path / (path @ path))

    assert survived["float32"] > 0.95
    assert survived["bfloat16_master"] > 0.95
    assert survived["bfloat16"] < 0.2
    assert survived["bfloat16_stochastic"] < 0.5  # few elements move, but by whole steps: the mean is right
    assert along("bfloat16") < 0.3
    assert along("bfloat16_master") == pytest.approx(1, abs=0.1)
    assert along("bfloat16_stochastic") == pytest.approx(1, abs=0.2)


def test_rounding_at_random_takes_a_neighbour_and_keeps_the_mean() -> None:
    values = torch.tensor([1.001, -3.3333, 0.1, 1e-20, 2.0]).repeat(20_000, 1)
    rounded = round_at_random(values, [0, 0, 1, 2]).double()
    step = torch.tensor([2**-7, 2**-6, 2**-11, 2**-74, 0]).double()  # bfloat16's spacing at each value
    assert bool(((rounded - values).abs() <= step).all())
    torch.testing.assert_close(rounded.mean(0), values[0].double(), rtol=1e-4, atol=0)
    assert torch.equal(rounded, round_at_random(values, [0, 0, 1, 2]).double())
    assert not torch.equal(rounded, round_at_random(values, [0, 0, 2, 2]).double())


@pytest.mark.parametrize("kept", KEPT)
def test_a_run_that_continues_from_any_step_ends_with_the_same_bits(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, kept: str
) -> None:
    more = {"epochs": 3, "weight_dtype": kept, "autocast": "bfloat16", "schedule": "cosine"}
    whole = trained(tiny_checkpoint, sft_data, tmp_path / "whole", **more)
    spec = ADAPTER.validate_python(train_spec(tiny_checkpoint, sft_data, tmp_path / "cut", **more))
    cut = loop.Trainer(spec, tmp_path / "cut")
    cut.metrics.restart([])
    for step in range(2):
        cut._step(step)
    cut.resume.write(2, cut.parameters, cut.optimizer, {"history": cut.history})
    cut._step(2)  # lost with the process
    again = loop.Trainer(spec, tmp_path / "cut")
    again.fit()
    first, second = (loop.plain_weights(each.scorer, each.optimizer) for each in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    rows = [json.loads(line) for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 7))  # no row twice
    assert [row["loss"] for row in rows] == [row["loss"] for row in whole.history]


def test_sigterm_finishes_the_step_keeps_it_and_exits_also_if_told_by_several(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path / "out", epochs=400)
    path = write_spec(tmp_path / "spec.json", spec)
    child = subprocess.Popen([sys.executable, "-m", "trainers", str(path)], stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "out" / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        time.sleep(0.01)
    for _ in range(5):  # a batch system tells every process, and the driver then tells its trainer again
        child.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    _, said = child.communicate(timeout=300)
    assert child.returncode == 130
    assert "the same command continues" in said
    (state,) = (tmp_path / "out" / "state").iterdir()
    assert int(state.stem[5:]) == metrics.read_text().count("\n") >= 3
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_recomputing_activations_changes_no_gradient(tiny_checkpoint: Path, sft_data: Path, tmp_path: Path) -> None:
    gradients = []
    for recompute in (False, True):
        spec = train_spec(tiny_checkpoint, sft_data, tmp_path, gradient_checkpointing=recompute)
        trainer = loop.Trainer(ADAPTER.validate_python(spec), tmp_path)
        assert any(layer.training for layer in trainer.model.model.layers) == recompute
        trainer.accumulate([0, 1, 2])
        gradients.append(torch.cat([parameter.grad.flatten() for _, parameter in trainer.parameters]))
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_adapters_are_trained_alone_and_merged_on_save(
    tiny_checkpoint: Path,
    sft_data: Path,
    preference_data: Path,
    references: dict[str, Path],
    tmp_path: Path,
    objective: str,
) -> None:
    pytest.importorskip("peft")
    data = {"sft": sft_data, "dpo": preference_data}[objective]
    more = {"objective": {"name": objective}, "reference": str(references["preference"]), "epochs": 3}
    trainer = trained(tiny_checkpoint, data, tmp_path, lora={"rank": 4}, learning_rate=1e-2, **more)
    assert trainer.history[-1]["loss"] < trainer.history[0]["loss"] - 0.01
    assert all("lora_" in name for name, _ in trainer.parameters)
    trainer.save()
    plain = load_model(tmp_path / "checkpoint", torch.float32, "cpu", packed=True)
    assert set(load_file(tmp_path / "checkpoint" / "model.safetensors")) == set(
        load_file(tiny_checkpoint / "model.safetensors")
    )
    (batch,) = trainer.data.microbatches([0, 1, 2], 100_000)
    with torch.no_grad():
        adapted = trainer.scorer(batch).logprob
        merged = type(trainer.scorer)(plain, None)(batch).logprob
        base = type(trainer.scorer)(load_model(tiny_checkpoint, torch.float32, "cpu", packed=True), None)(batch).logprob
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=0)
    assert float((merged - base).abs().max()) > 0.01


def test_adapters_on_modules_that_are_not_there_are_refused(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, lora={"targets": ["nothing"]})
    with pytest.raises(TrainerError, match=r"lora.targets \['nothing'\]"):
        loop.Trainer(ADAPTER.validate_python(spec), tmp_path)


def test_the_held_out_loss_is_measured_at_intervals_and_at_the_end(
    tiny_checkpoint: Path, sft_data: Path, preference_data: Path, references: dict[str, Path], tmp_path: Path
) -> None:
    kept = str(references["preference"])
    more = {"objective": {"name": "dpo"}, "reference": kept, "epochs": 3, "eval_every": 4}
    held_out = {"eval_data": str(preference_data), "eval_reference": kept}
    trainer = trained(tiny_checkpoint, preference_data, tmp_path, **more, **held_out)
    assert [row["step"] for row in trainer.history if "eval_loss" in row] == [4, 6]
    assert trainer.history[-1]["eval_loss"] < 0.6931
    assert trainer.history[-1]["eval_accuracy"] > 0.5
    loss, _ = trainer.accumulate(list(range(8)))
    assert loss == pytest.approx(trainer.metrics.summary()["final_eval_loss"], rel=1e-5)
    lacking = train_spec(tiny_checkpoint, preference_data, tmp_path, **more, eval_data=str(preference_data))
    with pytest.raises(TrainerError, match="needs eval_reference"):
        loop.Trainer(ADAPTER.validate_python(lacking), tmp_path)
