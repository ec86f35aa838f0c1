from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import files, locks
from harness.errors import BridgebenchError, EnvironmentFault, IntegrityError
from harness.store import Store, read_manifest, seal, verify_seal, write_manifest
from trainers import output

KEY = "0123456789abcdef"


def finished(store: Store, key: str = KEY, kind: str = "judge") -> Path:
    folder = store.path(kind, key)
    folder.mkdir(parents=True)
    files.write_jsonl(folder / "verdicts.jsonl", [{"a": 1}])
    write_manifest(folder, {"kind": kind, "key": key, "label": "x"}, ["verdicts.jsonl"], {}, "now", 1.0)
    return folder


def test_a_stage_is_done_only_with_its_manifest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.state("judge", KEY) == "absent"
    store.path("judge", KEY).mkdir(parents=True)
    assert store.state("judge", KEY) == "partial"
    (store.path("judge", KEY)).rmdir()
    finished(store)
    assert store.state("judge", KEY) == "done"


def test_a_manifest_of_another_stage_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished(store).rename(store.path("judge", "f" * 16))
    with pytest.raises(IntegrityError, match="belongs to another stage"):
        store.manifest("judge", "f" * 16)


def test_verify_finds_a_changed_a_missing_and_an_escaping_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = finished(store)
    assert store.verify("judge", KEY) == []
    (folder / "verdicts.jsonl").write_text('{"a": 2}\n')
    assert [problem.what for problem in store.verify("judge", KEY)] == ["differs from its manifest"]
    (folder / "verdicts.jsonl").unlink()
    (absent,) = store.verify("judge", KEY)
    assert not absent.fatal
    manifest = files.read_json(folder / "manifest.json")
    manifest["files"] = {"../../secret": {"sha256": "0", "bytes": 0}}
    files.write_json(folder / "manifest.json", manifest)
    assert store.verify("judge", KEY)[0].what == "differs from its own digest"
    files.write_json(folder / "manifest.json", manifest | {"manifest_sha256": seal(manifest)})
    assert [problem.what for problem in store.verify("judge", KEY)] == ["points outside its directory"]


def test_trainers_and_harness_agree_on_the_digest_of_a_manifest(tmp_path: Path) -> None:
    said = {"key": KEY, "identity": {10: "x", 9: "é\u2028", "b": [1, 2.5, 1e-7, None, True]}, "betas": (0.9, 0.999)}
    files.write_json(tmp_path / "manifest.json", said | {"manifest_sha256": output.seal(said)})
    manifest = read_manifest(tmp_path / "manifest.json")
    assert manifest["manifest_sha256"] == seal(said) == seal(manifest)
    assert verify_seal(manifest, "x") == []
    (changed,) = verify_seal(manifest | {"seconds": 0.0}, "x")
    assert changed.fatal
    (unsealed,) = verify_seal({"key": KEY}, "x")
    assert not unsealed.fatal


def test_a_key_can_be_shortened_until_it_is_ambiguous(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finished(store)
    finished(store, "0123000000000000", "train")
    assert store.find("01234") == ("judge", KEY)
    assert store.find("train/01") == ("train", "0123000000000000")
    with pytest.raises(BridgebenchError, match="fits 2 stages"):
        store.find("0123")
    with pytest.raises(BridgebenchError, match='no stage "99"'):
        store.find("99")


def test_a_store_below_a_file_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        Store(tmp_path / "file" / "store").prepare()


def test_a_torn_last_line_is_dropped_and_any_other_bad_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": ')
    assert files.read_jsonl(path) == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(IntegrityError, match="line 2"):
        files.read_jsonl(path)


def test_jsonl_survives_hostile_text_and_compresses_to_the_same_bytes(tmp_path: Path) -> None:
    rows = [{"text": "a\u2028b\x00c\ud800 \u202e </script>\r\n"}]
    files.write_jsonl(tmp_path / "a.jsonl", rows)
    assert files.read_jsonl(tmp_path / "a.jsonl") == rows
    for name in ("b.jsonl.gz", "c.jsonl.gz"):
        files.write_jsonl(tmp_path / name, [{"text": "x"}])
    assert (tmp_path / "b.jsonl.gz").read_bytes() == (tmp_path / "c.jsonl.gz").read_bytes()
    assert json.loads(gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes())) == {"text": "x"}


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    files.write_json(path, {"old": True})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, {"new": float("nan")})
    assert files.read_json(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_lock_is_held_while_a_child_that_inherited_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.exclusive(path) as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], pass_fds=(descriptor,), stdin=subprocess.PIPE, text=True
        )
    assert locks.is_held(path)  # released here, but not by the child
    child.communicate("\n")
    assert not locks.is_held(path)


def test_a_child_on_the_leash_dies_with_its_parent(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    child = f"import os,time,pathlib; pathlib.Path({str(marker)!r}).write_text(str(os.getpid())); time.sleep(60)"
    parent = (
        "import os,subprocess,sys,time; "
        f"subprocess.Popen([sys.executable,'-m','harness.leash',str(os.getpid()),sys.executable,'-c',{child!r}]); "
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_until(lambda: marker.exists() and marker.read_text() != "")
    process.kill()
    process.wait()
    pid = int(marker.read_text())
    wait_until(lambda: not running(pid))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def wait_until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
