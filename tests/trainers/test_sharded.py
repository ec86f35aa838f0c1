"""Two real processes under torchrun against one, and the resume state between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.test_training import run_cli, train_spec, write_spec

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def torchrun(*arguments: str) -> None:
    done = subprocess.run([*TORCHRUN, *arguments], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr


def scenario(spec: Path, dtype: str, out: Path, processes: int) -> dict[str, torch.Tensor]:
    arguments = ["tests.trainers.sharded_scenario", str(spec), dtype, str(out)]
    if processes == 1:
        subprocess.run([sys.executable, "-m", *arguments], check=True, capture_output=True, env=environment())
    else:
        torchrun(*arguments)
    return load_file(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "dtype", "tolerance", "after"),
    [("sft", "float64", 1e-10, 1e-8), ("dpo", "float32", 1e-5, None)],
)
def test_two_processes_compute_what_one_does(
    tiny_checkpoint: Path,
    sft_data: Path,
    preference_data: Path,
    references: dict[str, Path],
    tmp_path: Path,
    objective: str,
    dtype: str,
    tolerance: float,
    after: float | None,
) -> None:
    data = {"sft": sft_data, "dpo": preference_data}[objective]
    # batches of 3 over 8 examples: shares differ, and the last batch of two leaves each process one
    more = {"objective": {"name": objective}, "reference": str(references["preference"]), "epochs": 3, "batch_size": 3}
    spec = write_spec(
        tmp_path / "spec.json",
        train_spec(tiny_checkpoint, data, tmp_path / "out", **more, max_tokens_per_microbatch=100),
    )
    one, two = (scenario(spec, dtype, tmp_path / f"{n}.safetensors", n) for n in (1, 2))
    assert one.keys() == two.keys()
    torch.testing.assert_close(two["loss"], one["loss"], rtol=tolerance, atol=tolerance)
    for name in one:
        if name.startswith("gradient/"):
            largest = float(one[name].abs().max())
            torch.testing.assert_close(two[name], one[name], rtol=tolerance, atol=tolerance * largest)
        elif name.startswith("weight/") and after is not None:
            torch.testing.assert_close(two[name], one[name], rtol=0, atol=after)


def interrupted(command: list[str], metrics: Path, lines: int) -> None:
    """Start a run and stop it with SIGTERM when it has taken some steps."""
    child = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") >= lines):
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    child.wait(timeout=90)
    assert child.returncode != 0


@pytest.mark.slow
def test_a_sharded_run_stopped_by_sigterm_continues_to_the_same_end(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    ended: list[tuple[Any, list[float]]] = []
    for name in ("whole", "cut"):
        spec = train_spec(tiny_checkpoint, sft_data, tmp_path / name, epochs=60, learning_rate=1e-4)
        path, metrics = write_spec(tmp_path / f"{name}.json", spec), tmp_path / name / "metrics.jsonl"
        if name == "cut":
            interrupted([*TORCHRUN, "trainers", str(path)], metrics, 5)
            assert len(list((tmp_path / name / "state").iterdir())) == 1
        torchrun("trainers", str(path))
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
        assert [row["step"] for row in rows] == list(range(1, 121))  # rank 0 alone writes, and no row twice
        ended.append((load_file(tmp_path / name / "checkpoint" / "model.safetensors"), [row["loss"] for row in rows]))
    (first, losses), (second, again) = ended
    assert losses == again
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert json.loads((tmp_path / "cut" / "manifest.json").read_text())["summary"]["processes"] == 2


def test_only_training_runs_in_several_processes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    spec = {"kind": "probe", "output": str(tmp_path / "out"), "model": str(tiny_checkpoint)}
    done = run_cli(write_spec(tmp_path / "spec.json", spec), WORLD_SIZE="2")
    assert done.returncode == 2
    assert "probe runs in one process" in done.stderr
