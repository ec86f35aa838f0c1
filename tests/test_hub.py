"""``hub:`` references against a hub on the loopback address."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback_hub import COMMIT, loopback_hub

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def hub(tmp_path: Path, tiny_checkpoint: Path) -> Iterator[str]:
    shutil.copytree(tiny_checkpoint, tmp_path / "hub" / "models" / "lab" / "tiny")
    (tmp_path / "hub" / "models" / "lab" / "tiny" / "pytorch_model.bin").write_bytes(b"pickle")
    data = tmp_path / "hub" / "datasets" / "lab" / "chats"
    data.mkdir(parents=True)
    talks = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}] for n in range(5)]
    (data / "train.jsonl").write_text("".join(json.dumps({"talk": talk}) + "\n" for talk in talks))
    with loopback_hub(tmp_path / "hub") as endpoint:
        yield endpoint


def run(endpoint: str, cache: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )


@pytest.mark.slow
def test_a_model_is_pulled_at_the_commit_its_revision_stands_for_without_pickled_files(
    hub: str, tmp_path: Path
) -> None:
    store = tmp_path / "results"
    done = run(hub, tmp_path / "hf", "-m", "harness", "--results", str(store), "models", "pull", "hub:lab/tiny@main")
    assert done.returncode == 0, done.stderr
    (manifest,) = [json.loads(path.read_text()) for path in store.glob("models/*/manifest.json")]
    assert manifest["identity"] == {"format": "hub", "repo": "lab/tiny", "commit": COMMIT}
    assert not list(store.rglob("*.bin"))


@pytest.mark.slow
def test_a_model_that_is_not_there_is_one_paragraph(hub: str, tmp_path: Path) -> None:
    done = run(hub, tmp_path / "hf", "-m", "harness", "--results", str(tmp_path), "models", "pull", "hub:lab/none")
    assert done.returncode == 3
    assert "hub:lab/none@main could not be loaded" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_data_set_is_loaded_with_its_columns_renamed(hub: str, tmp_path: Path) -> None:
    code = (
        "from harness.config import DataSource; from harness.data.sources import load_rows; import json; "
        "s = DataSource(source='hub:lab/chats', split='train', rows=3, columns={'messages': 'talk'}); "
        "print(json.dumps(load_rows(s, 'sft')))"
    )
    done = run(hub, tmp_path / "hf", "-c", code)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row["messages"][0]["content"] for row in rows] == ["q0", "q1", "q2"]
