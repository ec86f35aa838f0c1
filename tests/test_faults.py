"""Single faults with a known outcome, and a few trials of `tests.faults` (``make test-faults`` runs many)."""

from __future__ import annotations

import dataclasses
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import files, inline, locks, process
from harness.judges.answers import AnswerLog
from harness.store import Store, write_manifest
from tests.faults import __main__ as trials
from tests.faults import comparison, disks, kills, processes, stores
from tests.faults.baseline import ENGINE
from tests.faults.deck import Card
from tests.faults.driver import ROOT
from tests.faults.trial import Record

KEY = "0123456789abcdef"


def bridgebench(store: Path, *arguments: str, before: tuple[str, ...] = (), **more: str) -> Any:
    command = [*before, sys.executable, "-m", "harness", "--results", str(store), *arguments]
    environment = {**os.environ, **more}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(("mode", "why"), [("refused", "No locks available"), ("ignored", "granted the same lock")])
def test_a_store_without_working_locks_is_refused_before_anything_runs(tmp_path: Path, mode: str, why: str) -> None:
    done = bridgebench(tmp_path / "store", "run", "smoke", **stores.broken_locks(mode))
    assert done.returncode == 3
    assert why in done.stderr
    assert "--results DIR" in done.stderr
    assert list((tmp_path / "store").iterdir()) == []


def test_a_read_only_store_is_refused_by_run_and_can_be_looked_into(tmp_path: Path) -> None:
    if (why := disks.impossible()) is not None:
        pytest.skip(why)
    store = Store(tmp_path)
    store.path("judge", KEY).mkdir(parents=True)
    with store.lock("judge", KEY):
        pass
    before = tuple(disks.read_only(tmp_path))
    done = bridgebench(tmp_path, "run", "smoke", before=before)
    assert done.returncode == 3
    assert "cannot be written (Read-only file system)" in done.stderr
    done = bridgebench(tmp_path, "status", before=before)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"partial  judge/{KEY}" in done.stdout


@pytest.fixture
def worker() -> Iterator[process.TrainerWorker]:
    made = process.TrainerWorker()
    yield made
    made.close()


def test_a_trainer_that_died_between_two_stages_is_started_again(tmp_path: Path, worker: process.TrainerWorker) -> None:
    deaf = "import os, time; os.close(0); print(flush=True); time.sleep(60)"
    worker.child = subprocess.Popen(
        [sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.child.stdout is not None
    worker.child.stdout.readline()
    (tmp_path / "spec.json").write_text('{"kind": "no such kind"}')
    log = tmp_path / "stage.log"
    assert worker.run(tmp_path / "spec.json", log, lambda event: None) == 2  # the spec was read, and is wrong
    assert "no such kind" in log.read_text()


def test_stopping_a_child_that_died_with_an_order_unread_is_no_error() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.wait()
    assert child.stdin is not None
    child.stdin.write("an order")
    process.stop(child)


def test_what_a_killed_writer_left_is_removed_under_the_stage_s_lock(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.path("train", KEY)
    (folder / ".checkpoint.tmp").mkdir(parents=True)
    (folder / ".checkpoint.tmp" / "model.safetensors").write_bytes(b"half")
    (folder / "chunks").mkdir()
    (folder / "chunks" / ".00001.jsonl.4711.tmp").write_bytes(b"half")
    (folder / "chunks" / "00000.jsonl").write_bytes(b"{}\n")
    with store.lock("train", KEY):
        assert [str(path.relative_to(folder)) for path in folder.rglob("*")] == ["chunks", "chunks/00000.jsonl"]


def test_a_finished_stage_keeps_no_working_files_after_the_next_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.path("train", KEY)
    for name in ("state/step-00000004.safetensors", "chunks/00000.jsonl", "checkpoint/model.safetensors"):
        files.write_bytes(folder / name, b"x")
    store.tidy("train", KEY)
    assert [path.name for path in folder.iterdir()] == ["checkpoint"]


def test_answers_that_were_paid_for_are_kept_until_the_manifest_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.judged_items import settings
    from tests.misbehaving_endpoint import endpoint, said

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    store = Store(tmp_path)
    with endpoint(lambda body, attempt: said("an answer")) as served:
        stage = answering(store, settings(served.url))
        with monkeypatch.context() as patched:
            patched.setattr(inline, "write_manifest", killed)
            with pytest.raises(KeyboardInterrupt):
                inline.run(stage, store, "recipe")
        inline.run(stage, store, "recipe")
        assert sum(served.requests.values()) == 3
    names = {path.name for path in store.path("generate", stage.key).iterdir()}
    assert names == {"completions.jsonl", "manifest.json"}


def answering(store: Store, endpoint: Any) -> Any:
    """A generate stage of three prompts behind ``endpoint``."""
    from harness.stage import Stage

    rows = [{"id": str(number), "messages": [{"role": "user", "content": f"question {number}"}]} for number in range(3)]
    prompts = Stage("prompts", "three", {"rows": 3})
    files.write_jsonl(store.path("prompts", prompts.key) / "rows.jsonl", rows)
    sampling = {"max_new_tokens": 5, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    identity = {"backend": "openai", "sampling": sampling}
    stage = Stage("generate", "row", identity, {"prompts": prompts}, {"endpoint": endpoint})
    store.path("generate", stage.key).mkdir(parents=True)
    return stage


def test_an_answer_that_does_not_fit_on_the_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    line = {"id": "a" * 16, "prompt_tokens": 1, "completion_tokens": 1, "unconfirmed_tokens": 0, "cost": None}
    log = AnswerLog(path)
    try:
        append(log, line)
        whole = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                append(log, line)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == whole
        append(log, line)
    finally:
        log.close()
    assert path.read_bytes() == whole * 2


def append(log: AnswerLog, line: dict[str, Any]) -> None:
    import asyncio

    asyncio.run(log.append(line))


def test_a_reservation_that_does_not_fit_on_the_disk_is_not_taken_for_made(tmp_path: Path) -> None:
    from harness.endpoint import Budget
    from tests.judged_items import settings

    code = (
        "import asyncio, resource, sys; from pathlib import Path; from harness.endpoint import Budget; "
        "from tests.judged_items import settings; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); "
        "budget = Budget.of(settings('http://127.0.0.1:1/v1'), Path(sys.argv[1])); "
        "asyncio.run(budget.reserve(10, 10))"
    )
    ledger = tmp_path / "spent.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(ledger)], capture_output=True, text=True, cwd=ROOT)
    assert "No space left on device" in done.stderr
    assert Budget.of(settings("http://127.0.0.1:1/v1"), ledger).spent.tokens == 0


def test_verify_names_a_manifest_that_is_no_json_and_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key, torn in ((KEY, b'{"kind"'), ("f" * 16, b"")):
        folder = store.path("judge", key)
        files.write_jsonl(folder / "verdicts.jsonl", [{"a": 1}])
        write_manifest(folder, {"kind": "judge", "key": key, "label": "x"}, ["verdicts.jsonl"], {}, "now", 1.0)
        (folder / "manifest.json").write_bytes(torn)
    done = bridgebench(tmp_path, "verify")
    assert done.returncode == 4
    assert [line.split(": ")[0] for line in done.stdout.splitlines()[:2]] == [
        f"judge/{KEY}/manifest.json",
        f"judge/{'f' * 16}/manifest.json",
    ]


def test_verify_says_how_a_damaged_stage_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.path("judge", KEY)
    files.write_jsonl(folder / "verdicts.jsonl", [{"a": 1}])
    write_manifest(folder, {"kind": "judge", "key": KEY, "label": "x"}, ["verdicts.jsonl"], {}, "now", 1.0)
    assert bridgebench(tmp_path, "verify").stderr == ""
    (folder / "verdicts.jsonl").write_bytes(b'{"a": 2}\n')
    assert f"bridgebench gc --yes --remove judge/{KEY}" in bridgebench(tmp_path, "verify").stderr


def test_a_download_ends_with_the_driver_that_asked_for_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        pull = ("models", "pull", "pypi:no-such-model==1.0")
        command = [sys.executable, "-m", "harness", "--results", str(tmp_path), *pull]
        environment = {**os.environ, "PIP_INDEX_URL": index, processes.VARIABLE: str(tmp_path)}
        driver = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        connection, _ = silent.accept()  # pip asks, and gets no answer
        with connection:
            assert any("pip download" in process.command for process in processes.of_trial(str(tmp_path)))
            driver.kill()
            driver.wait()
            assert processes.wait_until_gone(str(tmp_path), 20) == []


def test_locks_work_here(tmp_path: Path) -> None:
    assert locks.fault(tmp_path / "probe") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_after_a_kill_at_a_random_moment_a_rerun_gives_what_an_undisturbed_run_gives() -> None:
    struck = [kills.TRAINER_KILL, kills.ENGINE_KILL, kills.JUDGE_KILL]
    faults = [
        stores.TwoDrivers(killed=True, prepared=ENGINE),
        *(dataclasses.replace(kill, prepared=1) for kill in struck),
    ]
    records = trials.play_all([Card(fault, f"short {number}") for number, fault in enumerate(faults)])
    assert all(record.fine for record in records), [record.as_json() for record in records]
    assert trials.summary(records).startswith("4 trials, 0 lost, 0 duplicated, 0 leaked processes;")


def test_a_difference_a_repeated_stage_and_a_process_left_behind_are_seen(tmp_path: Path) -> None:
    undisturbed = {
        "judge/a/verdicts.jsonl": "x",
        "judge/b/verdicts.jsonl": "y",
        "board": {"rows": [{"win_rate": 50.0}]},
    }
    found = {"judge/a/verdicts.jsonl": "z", "judge/.tmp": "", "board": {"rows": [{"win_rate": 51.0}]}}
    assert comparison.differences(undisturbed, found) == [
        "board differs .rows[0].win_rate: 50.0 → 51.0",
        "judge/.tmp is left over",
        "judge/a/verdicts.jsonl differs",
        "judge/b/verdicts.jsonl is missing",
    ]
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, processes.VARIABLE: "left behind"})
    try:
        assert [process.pid for process in processes.wait_until_gone("left behind", 0.1)] == [child.pid]
    finally:
        child.kill()
        child.wait()
    assert processes.wait_until_gone("left behind", 5) == []
    records = [Record("a kill", "0", log={"hit": True}), Record("a kill", "1", log={"hit": False})]
    assert trials.hit_share(records) == 0.5
    assert not trials.good(records)
    assert trials.good(records[:1])
    assert not trials.good([Record("a kill", "2", log={"hit": True}, leaked=["trainer"])])
    assert trials.summary([Record("x", "0", lost=["it"], duplicated=["a", "b"])]) == (
        "1 trials, 1 lost, 2 duplicated, 0 leaked processes"
    )
