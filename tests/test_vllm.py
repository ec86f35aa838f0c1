"""The real vLLM engine: one start, three checkpoints, every swap proven, a wrong swap caught."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sockets import LOOPBACK
from trainers.__main__ import run
from trainers.spec import ADAPTER

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here"),
]


@pytest.fixture(scope="module")
def checkpoints(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The base, a checkpoint a few steps away, and a third one small step from that."""
    folder = tmp_path_factory.mktemp("checkpoints")
    turns = [{"role": "user", "content": "Say hi"}, {"role": "assistant", "content": "hi there"}]
    (folder / "rows.jsonl").write_text(json.dumps({"id": "a", "messages": turns}) + "\n")

    def go(name: str, **spec: Any) -> Path:
        run(ADAPTER.validate_python({"output": str(folder / name), "threads": 1, **spec}))
        return folder / name

    data = go("data", kind="tokenize", model=str(tiny_checkpoint), rows=str(folder / "rows.jsonl"), format="sft")
    settings = {"kind": "train", "data": str(data), "schedule": "constant"}
    far = go("far", model=str(tiny_checkpoint), learning_rate=1e-3, epochs=5, **settings) / "checkpoint"
    near = go("near", model=str(far), learning_rate=2e-4, max_steps=1, **settings) / "checkpoint"
    return [tiny_checkpoint, far, near]


@pytest.fixture(scope="module")
def seen(checkpoints: list[Path]) -> dict[str, Any]:
    script = ROOT / "tests" / "vllm_scenario.py"
    done = subprocess.run(
        [sys.executable, str(script), *map(str, checkpoints)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def test_nobody_from_outside_can_talk_to_the_engine(seen: dict[str, Any]) -> None:
    assert set(seen["listens"]) <= LOOPBACK


def test_one_engine_start_serves_three_checkpoints_and_proves_each(seen: dict[str, Any]) -> None:
    assert [proof["engine"] for proof in seen["proofs"]] == ["started", "swapped", "swapped"]
    for proof in seen["proofs"]:
        assert proof["probe_mean_difference"] < 5e-5
        assert proof["probe_max_difference"] < 1e-3
    assert 0.001 < seen["proofs"][2]["probe_gap_to_previous"] < 0.2  # one small step apart


def test_after_every_swap_the_greedy_tokens_are_those_of_transformers(seen: dict[str, Any]) -> None:
    assert seen["greedy"] == seen["plain"]
    assert seen["greedy"][0] != seen["greedy"][1]


def test_an_engine_that_was_not_reloaded_is_caught(seen: dict[str, Any]) -> None:
    assert "differ from the checkpoint's" in seen["without_reload"]


def test_an_output_head_left_behind_by_the_swap_is_caught_and_mended(seen: dict[str, Any]) -> None:
    assert "differ from the checkpoint's" in seen["without_head_refresh"]
    assert seen["mended"] == "accepted"


def test_sampling_is_repeatable_by_seed(seen: dict[str, Any]) -> None:
    first, again, other = seen["warm"]
    assert first == again
    assert first != other


def test_checksums_read_inside_the_worker_tell_the_served_checkpoint_from_another(seen: dict[str, Any]) -> None:
    compared, wrong = seen["checksums_of_served"]
    assert compared > 0
    assert wrong == []
    assert seen["checksums_of_other"][1] != []
