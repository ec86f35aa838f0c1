"""Training as a whole: accumulation, resuming after a kill, what is logged, what is refused."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers import loop
from trainers.checkpoint import load_model
from trainers.errors import TrainerError
from trainers.spec import ADAPTER


def train_spec(model: Path, data: Path, output: Path, **more: Any) -> dict[str, Any]:
    return {
        "kind": "train",
        "model": str(model),
        "data": str(data),
        "output": str(output),
        "learning_rate": 1e-3,
        "batch_size": 4,
        "threads": 1,
        "autocast": None,
        "checkpoint_every": 1000,
        **more,
    }


def trainer_in(dtype: torch.dtype, spec: dict[str, Any]) -> loop.Trainer:
    """A trainer whose model has ``dtype``."""
    trainer = loop.Trainer(ADAPTER.validate_python(spec), Path(spec["output"]))
    trainer.model.to(dtype)
    trainer.directory.mkdir(parents=True, exist_ok=True)
    return trainer


def gradient(trainer: loop.Trainer) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])


OBJECTIVES = {
    "sft": {"name": "sft"},
    "f_sft": {"name": "f_sft", "divergence": "jensen_shannon"},
    "dpo": {"name": "dpo"},
}


def data_of(objective: str, sft_data: Path, preference_data: Path, references: dict[str, Path]) -> dict[str, str]:
    kind = "preference" if objective == "dpo" else "sft"
    data = preference_data if objective == "dpo" else sft_data
    return {"data": str(data), "reference": str(references[kind])}


@pytest.mark.parametrize("objective", [*OBJECTIVES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_accumulation_does_not_change_loss_or_gradient(
    tiny_checkpoint: Path,
    sft_data: Path,
    preference_data: Path,
    references: dict[str, Path],
    tmp_path: Path,
    objective: str,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    found = []
    for budget in (1, 150, 300, 100_000):  # one example at a time … all at once
        spec = train_spec(tiny_checkpoint, sft_data, tmp_path, batch_size=8, max_tokens_per_microbatch=budget)
        spec |= {
            "objective": OBJECTIVES[objective],
            **data_of(objective, sft_data, preference_data, references),
        }
        trainer = trainer_in(dtype, spec)
        loss, _ = trainer.accumulate(list(range(8)))
        found.append((loss, gradient(trainer)))
    for loss, slope in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=tolerance)
        torch.testing.assert_close(slope, found[0][1], atol=tolerance * float(found[0][1].abs().max()), rtol=tolerance)


def test_weights_after_five_steps_do_not_depend_on_the_microbatches(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    ended = []
    for budget in (1, 100_000):
        spec = train_spec(tiny_checkpoint, sft_data, tmp_path, epochs=3, max_steps=5, max_tokens_per_microbatch=budget)
        trainer = trainer_in(torch.float64, spec)
        for step in range(5):
            trainer._step(step)
        ended.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    torch.testing.assert_close(*ended, atol=1e-8, rtol=0)


def test_the_sft_loss_is_the_mean_over_the_tokens_of_the_global_batch(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path: Path
) -> None:
    trainer = trainer_in(torch.float32, train_spec(tiny_checkpoint, sft_data, tmp_path, max_tokens_per_microbatch=1))
    loss, _ = trainer.accumulate(list(range(8)))
    values = np.load(references["sft"] / "logprobs.npy")
    assert loss == pytest.approx(-float(values[~np.isnan(values)].mean()), rel=1e-5)


def run_cli(spec_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainers", str(spec_path)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def write_spec(path: Path, spec: dict[str, Any]) -> Path:
    path.write_text(json.dumps(spec))
    return path


def test_every_preference_run_starts_at_log_two_from_its_own_reference(
    tiny_checkpoint: Path, preference_data: Path, references: dict[str, Path], tmp_path: Path, run_spec: Any
) -> None:
    spec = train_spec(tiny_checkpoint, preference_data, tmp_path / "a", epochs=2, objective={"name": "dpo"})
    run_spec(**{**spec, "output": tmp_path / "a", "reference": str(references["preference"])})
    rows = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert rows[-1]["loss"] < math.log(2) - 0.01
    moved = tmp_path / "a" / "checkpoint"
    again = train_spec(moved, preference_data, tmp_path / "b", max_steps=1, objective={"name": "dpo"})
    run_spec(**{**again, "output": tmp_path / "b", "reference": str(references["preference"])})
    (first,) = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert abs(first["loss"] - math.log(2)) > 0.01  # the base as reference of a trained policy


def test_f_sft_logs_how_much_pull_is_left(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path: Path, run_spec: Any
) -> None:
    objective = {"name": "f_sft", "divergence": "jensen_shannon"}
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, epochs=6, objective=objective)
    run_spec(**{**spec, "output": tmp_path / "out", "reference": str(references["sft"])})
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["mean_slope"] == pytest.approx(1, abs=1e-4)
    assert rows[0]["std_d"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["mean_slope"] < 0.95
    assert rows[-1]["mean_d"] > 0
    summary = json.loads((tmp_path / "out" / "manifest.json").read_text())["summary"]
    assert summary["surviving_updates"] == pytest.approx(1, abs=0.01)
    assert summary["saved_updates"] == 1.0


def test_saving_in_bfloat16_swallows_small_updates_and_says_so(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, run_spec: Any
) -> None:
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, learning_rate=1e-6, save_dtype="bfloat16")
    out = run_spec(**{**spec, "output": tmp_path / "out"})
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    assert summary["surviving_updates"] > 0.9  # float32 weights did move
    assert load_model(out / "checkpoint", torch.bfloat16, "cpu").dtype == torch.bfloat16


@pytest.mark.slow
def test_killed_at_a_random_step_the_resumed_run_ends_with_the_same_bits(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    outputs = {}
    for name in ("undisturbed", "killed"):
        spec = train_spec(
            tiny_checkpoint, sft_data, tmp_path / name, epochs=20, checkpoint_every=1, autocast="bfloat16"
        )
        outputs[name] = write_spec(tmp_path / f"{name}.json", spec)
    assert run_cli(outputs["undisturbed"]).returncode == 0
    child = subprocess.Popen([sys.executable, "-m", "trainers", str(outputs["killed"])], stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "state"
    target = random.Random(0).randint(3, 25)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(int(p.stem[5:]) >= target for p in state.glob("step-*.safetensors")):
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    resumed = run_cli(outputs["killed"])
    assert resumed.returncode == 0
    assert "continuing after step" in resumed.stderr
    first, second = ((tmp_path / name / "checkpoint" / "model.safetensors").read_bytes() for name in outputs)
    assert first == second
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in outputs
    ]
    assert losses[0] == losses[1]
    assert not state.exists()


def test_a_foreign_or_torn_resume_state_is_refused_with_a_message(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, run_spec: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path / "out")
    trainer = loop.Trainer(ADAPTER.validate_python(spec | {"seed": 9}), tmp_path / "out")
    (tmp_path / "out").mkdir()
    trainer._step(0)
    trainer.resume.write(1, trainer.parameters, trainer.optimizer, {"history": trainer.history})
    state = tmp_path / "out" / "state"
    (state / "step-00000009.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainerError, match="belongs to another run; it differs in seed") as caught:
        run_spec(**{**spec, "output": tmp_path / "out"})
    assert caught.value.exit_code == 4
    assert len(list(state.iterdir())) == 2  # another run's work is left alone
    assert "is torn" in capsys.readouterr().err
    (state / "step-00000001.safetensors").unlink()
    run_spec(**{**spec, "output": tmp_path / "out"})
    said = capsys.readouterr().err
    assert "is torn" in said
    assert "continuing" not in said


def test_a_finished_run_is_not_run_again(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, run_spec: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {**train_spec(tiny_checkpoint, sft_data, tmp_path), "output": tmp_path / "out"}
    before = (run_spec(**spec) / "manifest.json").read_bytes()
    run_spec(**{**spec, "record": {"command": "another"}})
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert "finished already" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_rows(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    trainer = trainer_in(torch.float32, train_spec(tiny_checkpoint, sft_data, tmp_path))
    with torch.no_grad():
        next(iter(trainer.model.parameters())).fill_(math.nan)
    with pytest.raises(TrainerError, match=r"became nan at step 1; rows of the batch: row-") as caught:
        trainer._step(0)
    assert caught.value.exit_code == 1


def test_a_reference_of_other_data_is_refused(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path: Path, run_spec: Any
) -> None:
    objective = {"name": "f_sft", "divergence": "pearson_chi2"}
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, objective=objective)
    with pytest.raises(TrainerError, match="computed on other data"):
        run_spec(**{**spec, "output": tmp_path / "out", "reference": str(references["preference"])})
    with pytest.raises(TrainerError, match="needs a reference"):
        run_spec(**{**spec, "output": tmp_path / "out"})


def test_demonstrations_are_not_taken_for_pairs(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path: Path, run_spec: Any
) -> None:
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, objective={"name": "dpo"})
    with pytest.raises(TrainerError, match="not preference pairs"):
        run_spec(**{**spec, "output": tmp_path / "out", "reference": str(references["sft"])})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rat": 1}, 'unknown key "learning_rat". Did you mean "learning_rate"?'),
        ({"objective": {"name": "f_sft", "divergence": "pearson"}}, "objective.divergence"),
        ({"objective": {"name": "dpo", "beta": 0}}, "objective.beta: Input should be greater than 0"),
        ({"batch_size": "many"}, "batch_size"),
        ({"weight_dtype": "float16"}, "weight_dtype"),
    ],
)
def test_a_wrong_spec_is_refused_by_setting(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    from trainers.__main__ import main

    path = write_spec(tmp_path / "spec.json", train_spec(tiny_checkpoint, sft_data, tmp_path / "out") | change)
    import contextlib
    import io

    heard = io.StringIO()
    with contextlib.redirect_stderr(heard):
        assert main([str(path)]) == 2
    assert said in heard.getvalue()
    assert "Traceback" not in heard.getvalue()
    assert not (tmp_path / "out").exists()


def test_the_trainers_run_on_their_own_and_report_a_missing_checkpoint_in_one_paragraph(
    tmp_path: Path,
) -> None:
    spec = {"kind": "probe", "output": str(tmp_path / "out"), "model": str(tmp_path / "nothing")}
    done = run_cli(write_spec(tmp_path / "spec.json", spec))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "config.json is missing" in done.stderr


def test_a_full_disk_is_told_in_one_paragraph_and_nothing_counts_as_finished(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    spec = write_spec(tmp_path / "spec.json", train_spec(tiny_checkpoint, sft_data, tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-m", "trainers", str(spec)],
        capture_output=True,
        text=True,
        preexec_fn=small_files,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_compiling_without_a_compiler_is_refused_before_training(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_spec: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    settings = {"model": str(tiny_checkpoint), "data": str(sft_data), "compile": True, "device": "cpu"}
    for spec in ({"kind": "train", "learning_rate": 1e-3}, {"kind": "reference"}):
        with pytest.raises(TrainerError, match=r"needs a C\+\+ compiler, and none of g\+\+"):
            run_spec(tmp_path / spec["kind"], **settings, **spec)
        assert not (tmp_path / spec["kind"] / "manifest.json").exists()
