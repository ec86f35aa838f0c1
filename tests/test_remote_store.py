"""Finished stages on a URL: the manifest arrives last, damage is noticed, a run takes what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import files
from harness.errors import ConfigError, EnvironmentFault, IntegrityError
from harness.executors.local import LocalExecutor
from harness.progress import LineReporter
from harness.remote_store import RemoteStore
from harness.stage import Stage
from harness.store import MANIFEST, Store, write_manifest

pytest.importorskip("fsspec")
KEY = "0123456789abcdef"


@pytest.fixture(params=["file", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteStore:
    url = f"file://{tmp_path}/far" if request.param == "file" else f"memory://{tmp_path.name}"
    return RemoteStore(url)


def finished(root: Path, key: str = KEY, text: str = "weights") -> Store:
    """A store with one finished stage of two files."""
    store = Store(root)
    out = store.path("train", key)
    files.write_text(out / "checkpoint" / "model.safetensors", text)
    files.write_text(out / "metrics.jsonl", "{}\n")
    (out / "state").mkdir()
    record = {"kind": "train", "key": key}
    write_manifest(out, record, ["checkpoint/model.safetensors", "metrics.jsonl"], {}, "2026-01-01T00:00:00Z", 1.0)
    return store


def test_a_stage_that_is_pushed_can_be_pulled_elsewhere_byte_for_byte(remote: RemoteStore, tmp_path: Path) -> None:
    here, there = finished(tmp_path / "a"), Store(tmp_path / "b")
    assert not remote.has("train", KEY)
    assert not remote.pull(there, "train", KEY)
    remote.push(here, "train", KEY)
    remote.push(here, "train", KEY)  # once is enough
    (there.path("train", KEY) / "state").mkdir(parents=True)  # an attempt of that machine, which it replaces
    assert remote.pull(there, "train", KEY)
    assert there.verify("train", KEY) == []
    for name in ("checkpoint/model.safetensors", "metrics.jsonl", MANIFEST):
        assert (there.path("train", KEY) / name).read_bytes() == (here.path("train", KEY) / name).read_bytes()
    assert sorted(path.name for path in there.path("train", KEY).iterdir()) == ["checkpoint", MANIFEST, "metrics.jsonl"]


def test_a_push_that_is_cut_at_any_file_leaves_no_stage_behind(
    remote: RemoteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = finished(tmp_path / "a")
    put = remote.files.put_file
    for allowed in range(3):
        left = iter(range(allowed))

        def cut(source: str, target: str, left: Any = left) -> None:
            if next(left, None) is None:
                raise OSError("the connection was cut")
            put(source, target)

        monkeypatch.setattr(remote.files, "put_file", cut)
        with pytest.raises(EnvironmentFault, match=r"cannot be written \(the connection was cut\)"):
            remote.push(here, "train", KEY)
        assert not remote.has("train", KEY)
    monkeypatch.setattr(remote.files, "put_file", put)
    remote.push(here, "train", KEY)
    assert remote.pull(Store(tmp_path / "b"), "train", KEY)


def test_a_stage_that_was_damaged_there_is_refused_and_nothing_of_it_kept(remote: RemoteStore, tmp_path: Path) -> None:
    remote.push(finished(tmp_path / "a"), "train", KEY)
    remote.files.pipe_file(f"{remote.root}/train/{KEY}/metrics.jsonl", b"{}{}\n")
    there = Store(tmp_path / "b")
    with pytest.raises(IntegrityError, match=r"metrics\.jsonl: differs from its manifest"):
        remote.pull(there, "train", KEY)
    assert not list(there.root.rglob("*.jsonl"))


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../../escaped"])
def test_a_manifest_whose_files_would_leave_their_directory_is_refused(
    remote: RemoteStore, tmp_path: Path, name: str
) -> None:
    manifest = {"key": KEY, "files": {name: {"sha256": "", "bytes": 0}}}
    remote.files.makedirs(f"{remote.root}/train/{KEY}", exist_ok=True)
    remote.files.pipe_file(f"{remote.root}/train/{KEY}/{MANIFEST}", files.canonical_json(manifest).encode())
    with pytest.raises(IntegrityError, match="outside its directory"):
        remote.pull(Store(tmp_path / "b"), "train", KEY)
    assert not list(tmp_path.rglob("escaped"))


def test_an_unknown_protocol_and_a_missing_package_are_said_with_the_url() -> None:
    with pytest.raises(ConfigError, match="nonsense://x"):
        RemoteStore("nonsense://x")


def prompts(text: str) -> Stage:
    def write(out: Path) -> None:
        files.write_jsonl(out / "rows.jsonl", [{"id": text}])

    return Stage("prompts", text, {"rows_sha256": text}, execution={"rows": 1}, prepare=write)


def test_a_run_pushes_what_it_finished_and_another_machine_executes_nothing(
    remote: RemoteStore, tmp_path: Path
) -> None:
    stages = [prompts("a"), prompts("b")]
    first, second = (
        LocalExecutor(Store(tmp_path / name), LineReporter(quiet=True), remote=remote) for name in ("one", "two")
    )
    assert len(first.run_stages(stages, "r").executed) == 2
    outcome = second.run_stages(stages, "r")
    assert (len(outcome.executed), len(outcome.reused)) == (0, 2)
    for stage in stages:
        assert second.store.verify(stage.kind, stage.key) == []


def test_a_remote_store_that_fails_does_not_lose_what_was_finished_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remote = RemoteStore(f"file://{tmp_path}/far")

    def refuse(source: str, target: str) -> None:
        raise OSError("no space there")

    monkeypatch.setattr(remote.files, "put_file", refuse)
    executor = LocalExecutor(Store(tmp_path / "one"), LineReporter(), remote=remote)
    outcome = executor.run_stages([prompts("a")], "r")
    assert (len(outcome.executed), outcome.failed) == (1, {})
    assert "no space there" in capsys.readouterr().err
