"""Shared by all tests: a tiny real model, and where public artefacts may lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# two threads for arithmetic that is compared bit for bit, and no network for anything
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of public artefacts (../shared/data) is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted random:tiny-llama."""
    from trainers.__main__ import run
    from trainers.spec import ADAPTER

    out = tmp_path_factory.mktemp("tiny")
    source = {"format": "random", "name": "tiny-llama", "seed": 0}
    run(ADAPTER.validate_python({"kind": "convert", "output": str(out), "source": source}))
    return out / "checkpoint"


@pytest.fixture(scope="session")
def demo_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board of `tests.leaderboard_content`, built once; a test that changes it takes a copy."""
    from tests import leaderboard_content

    return leaderboard_content.build(
        leaderboard_content.content(), tmp_path_factory.mktemp("boards") / "demo", leaderboard_content.analyses()
    )


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainer specs and engine jobs run in this process, which has imported torch already."""
    from contextlib import redirect_stderr

    from harness import process
    from harness.backends import job
    from trainers.__main__ import run_file

    def run_here(worker: Any, spec: Path, log: Path, on_event: Any) -> int:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as errors, redirect_stderr(errors):
            return run_file(spec)

    def serve_here(module: str, arguments: list[str], log: Path, *_: Any) -> int:
        assert module == "harness.backends.job"
        with log.open("a", encoding="utf-8") as errors, redirect_stderr(errors):
            return job.main(arguments)

    monkeypatch.setattr(process.TrainerWorker, "run", run_here)
    monkeypatch.setattr(process, "run_module", serve_here)
    monkeypatch.setattr(job, "_keep_stdout_for_events", lambda: None)
    monkeypatch.setattr(job, "_event", lambda **event: None)
