"""The whole pipeline on a real (tiny) model: recipe → HTML, resumed, changed, broken, shared, checked."""

from __future__ import annotations

import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness import files

JUDGED = {"manifest.json", "verdicts.jsonl", "model_outputs.json", "annotations.json"}
ROOT = Path(__file__).resolve().parent.parent
# a smaller matrix for the tests that start over: one objective and its DPO
SMALL = ("--set", "variants={sft: {objective: sft}}", "--set", "benchmark.rows=10", "--set", "data.sft.rows=20")


def bridgebench(store: Path, *arguments: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--results", str(store), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert check is None or done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def executed(done: subprocess.CompletedProcess[str]) -> int:
    found = re.search(r"executed (\d+) stages", done.stdout.splitlines()[-1])
    assert found, done.stdout
    return int(found[1])


def results(store: Path) -> dict[str, Any]:
    """Everything of a store that must not depend on how it came about."""
    kept = {}
    for name in ("completions.jsonl", "verdicts.jsonl", "estimates.json", "model.safetensors", "logprobs.npy"):
        kept |= {str(path.relative_to(store)): path.read_bytes() for path in store.rglob(name)}
    return kept


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the smoke recipe has run once."""
    path = tmp_path_factory.mktemp("smoke") / "results"
    done = bridgebench(path, "run", "smoke")
    assert executed(done) == 26
    return path


@pytest.mark.slow
def test_smoke_runs_from_recipe_to_html(store: Path) -> None:
    board = store / "boards" / "smoke"
    data = files.read_json(board / "data.json")
    assert [row["row"] for row in data["rows"]] == ["base", "sft", "sft+dpo", "pearson-chi2", "pearson-chi2+dpo"]
    for row in data["rows"]:
        assert row["n"] == 24
        assert row["failed"] is None
        assert set(row["by_split"]) == {"in", "out", "retain"}
        assert {path.name for path in (store / row["stage_keys"]["judge"]).iterdir()} == JUDGED
    assert data["rows"][0]["variant"] == "base"
    assert data["rows"][0]["learning_rate"] is None
    page = (board / "index.html").read_text()
    assert all(row["row"] in page for row in data["rows"])
    assert not re.search(r'(src|href)="https?:', page)
    assert len(list((board / "rows").glob("*.html"))) == 5


@pytest.mark.slow
def test_a_second_run_executes_nothing_and_rewrites_no_result(store: Path) -> None:
    before = results(store)
    assert executed(bridgebench(store, "run", "smoke")) == 0
    assert results(store) == before


@pytest.mark.slow
def test_the_plan_of_a_finished_recipe_has_nothing_to_run(store: Path) -> None:
    assert "nothing to run" in bridgebench(store, "plan", "smoke").stdout
    states = json.loads(bridgebench(store, "status", "smoke", "--json").stdout)
    assert {row["state"] for row in states} == {"done"}


@pytest.mark.slow
def test_a_changed_setting_reruns_exactly_what_it_touches(store: Path) -> None:
    done = bridgebench(store, "run", "smoke", "--set", "preference_stages.dpo.beta=0.3")
    assert executed(done) == 2 * 4  # two DPO stages, and generate, judge and aggregate of each


@pytest.mark.slow
def test_a_failed_cell_is_labelled_and_does_not_stop_the_others(store: Path) -> None:
    done = bridgebench(store, "run", "smoke", "--set", "variants.pearson-chi2.learning_rate=1e30", check=1)
    assert "became nan" in done.stderr or "became inf" in done.stderr
    assert "rows of the batch: train-" in done.stderr
    rows = {row["row"]: row for row in files.read_json(store / "boards" / "smoke" / "data.json")["rows"]}
    assert rows["pearson-chi2"]["failed"].startswith("train pearson-chi2 failed")
    assert rows["pearson-chi2+dpo"]["failed"].startswith("train pearson-chi2 failed")
    assert rows["sft+dpo"]["failed"] is None
    assert executed(bridgebench(store, "run", "smoke")) == 0


@pytest.mark.slow
def test_show_verify_and_gc_look_into_the_store(store: Path) -> None:
    manifest = json.loads(bridgebench(store, "show", "train", "--json", check=None).stdout or "{}")
    assert manifest == {}  # several stages are called train
    key = next((store / "train").glob("*/manifest.json")).parent.name
    assert json.loads(bridgebench(store, "show", key, "--json").stdout)["key"] == key
    assert " 0 wrong" in bridgebench(store, "verify").stdout
    listed = bridgebench(store, "gc").stdout
    assert "would be removed" in listed
    removed = bridgebench(store, "gc", "--yes").stdout
    assert "freed" in removed
    assert executed(bridgebench(store, "run", "smoke")) == 0


@pytest.mark.slow
def test_a_corrupted_artefact_is_found(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    victim = next((copy / "generate").rglob("completions.jsonl"))
    victim.write_bytes(victim.read_bytes().replace(b'"stop"', b'"stap"').replace(b'"length"', b'"longth"'))
    assert "differs from its manifest" in bridgebench(copy, "verify", check=4).stdout


@pytest.mark.slow
def test_a_published_board_follows_from_its_evidence_until_somebody_edits_it(store: Path, tmp_path: Path) -> None:
    published = tmp_path / "leaderboards" / "smoke"
    bridgebench(store, "publish", "smoke", "--to", str(published))
    assert " 0 wrong" in bridgebench(store, "verify", str(published)).stdout
    evidence = next((published / "evidence" / "judge").rglob("verdicts.jsonl.gz"))
    verdicts = files.read_jsonl(evidence)
    files.write_jsonl(evidence, [{**verdict, "score": 1.0} for verdict in verdicts])
    said = bridgebench(store, "verify", str(published), check=4).stdout
    assert "differs from its manifest" in said
    assert "the verdicts give" in said


def wait_for_stage(store: Path, kind: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (store / kind).is_dir() and any((store / kind).iterdir()):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {kind} stage began")


def test_user_mistakes_are_one_paragraph_with_the_documented_exit_code(tmp_path: Path) -> None:
    cases = {
        ("run", "quickstrat"): (2, 'Did you mean "quickstart"'),
        ("rn", "smoke"): (2, 'Did you mean "run"'),
        ("run", "smoke", "--set", "training.epocs=2"): (2, 'Did you mean "epochs"'),
        ("run", "smoke", "--set", "base=./no-such-model"): (2, "neither a directory nor a GGUF file"),
        ("show", "abcdef"): (2, 'no stage "abcdef"'),
        ("publish", "smoke", "--to", str(tmp_path / "x")): (2, "is not finished"),
        ("verify", str(tmp_path)): (2, "there is no stage"),
    }
    for arguments, (code, said) in cases.items():
        done = bridgebench(tmp_path / "store", *arguments, check=code)
        assert said in done.stderr


def test_a_response_beyond_the_limit_and_a_broken_checkpoint_fail_their_stage_with_the_reason(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    done = bridgebench(tmp_path / "a", "run", "smoke", *SMALL, "--set", "training.max_length=8", check=1)
    assert "raise training.max_length" in done.stderr
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    done = bridgebench(tmp_path / "b", "run", "smoke", *SMALL, "--set", f"base={broken}", check=2)
    assert "cannot be loaded" in done.stderr
    assert not list((tmp_path / "b" / "models").rglob("manifest.json"))


def test_a_full_disk_fails_the_stage_with_the_reason_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))  # the tiny model has 1.3 MB

    done = subprocess.run(
        [sys.executable, "-m", "harness", "--results", str(tmp_path / "store"), "run", "smoke", *SMALL],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=small_files,
        check=False,
    )
    assert done.returncode == 1
    assert "the disk is full or a file may not grow" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "store").rglob("manifest.json"))


@pytest.mark.slow
def test_an_interrupted_run_says_so_leaves_no_process_and_continues(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "--results", str(tmp_path), "run", "smoke", *SMALL]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_stage(tmp_path, "data")
    workers = children_of(child.pid)
    assert workers
    child.send_signal(signal.SIGTERM)  # what a batch system sends; Ctrl-C takes the same way
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "the same command continues" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert executed(bridgebench(tmp_path, "run", "smoke", *SMALL)) > 0
    assert executed(bridgebench(tmp_path, "run", "smoke", *SMALL)) == 0


def children_of(pid: int) -> list[int]:
    """The children of all of a process' threads."""
    return [
        int(child) for listed in Path(f"/proc/{pid}/task").glob("*/children") for child in listed.read_text().split()
    ]


def test_no_memory_for_the_engine_is_told_before_it_is_started(tiny_checkpoint: Path) -> None:
    from harness.errors import EnvironmentFault
    from harness.memory import require_for_engine

    with pytest.raises(EnvironmentFault, match=r"needs about .* GiB of memory") as caught:
        require_for_engine(tiny_checkpoint, kv_cache_gib=1e6)
    assert "generate.kv_cache_gib" in caught.value.hint
    require_for_engine(tiny_checkpoint, kv_cache_gib=0.01)
