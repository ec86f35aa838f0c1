"""Shared by all tests: a tiny real model, and where public artefacts may lie."""

from __future__ import annotations

import os
from pathlib import Path

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
