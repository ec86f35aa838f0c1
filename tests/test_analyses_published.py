"""From a run's checkpoints by analyses to the board, its published evidence and back: on a real (tiny) model."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import cli, files

# one objective and its DPO, few rows
SMALL = ("variants={sft: {objective: sft}}", "benchmark.rows=10", "data.sft.rows=20")


def bridgebench(store: Path, *arguments: object, check: int = 0) -> str:
    done = CliRunner().invoke(cli.bridgebench, ["--results", str(store), *map(str, arguments)])
    assert done.exit_code == check, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_analyses_of_a_finished_run_reach_its_board_and_what_is_published(tmp_path: Path) -> None:
    store, published = tmp_path / "results", tmp_path / "leaderboards" / "smoke"

    def analyse(kind: str, *arguments: object) -> dict[str, Any]:
        call = ("analyze", kind, store / "boards" / "smoke", "--limit", 12, "--json", *arguments)
        found: dict[str, Any] = json.loads(bridgebench(store, *call))
        return found

    settings = [part for assignment in SMALL for part in ("--set", assignment)]
    bridgebench(store, "run", "smoke", *settings)
    drift = analyse("drift", "--samples", 1, "--max-new-tokens", 4)
    named = {kind: analyse(kind)["stage"] for kind in ("rewards", "values")} | {"drift": drift["stage"]}
    bridgebench(store, "run", "smoke", *settings)  # nothing left to do but the board
    board = store / "boards" / "smoke"
    assert files.read_json(board / "data.json")["analyses"] == named
    page = (board / "rows" / "sft+dpo.html").read_text()
    assert all(stage in page for stage in named.values())
    told = next(row for row in drift["rows"] if row["row"] == "sft+dpo")["kl"]["estimate"]
    assert f"{told:.2f}" in page
    assert "Drift against pass rate" in (board / "index.html").read_text()

    bridgebench(store, "publish", "smoke", "--to", published)
    for verb in (("verify",), ("leaderboard", "check")):
        assert " 0 wrong" in bridgebench(store, *verb, published)
    before = {path: path.read_bytes() for path in published.rglob("*.html")}
    bridgebench(tmp_path / "elsewhere", "leaderboard", "build", published)  # from the evidence alone
    assert {path: path.read_bytes() for path in published.rglob("*.html")} == before

    estimates = published / "evidence" / named["drift"] / "estimates.json.gz"
    files.write_bytes(estimates, gzip.compress(b"{}"))
    assert "differs from its manifest" in bridgebench(store, "verify", published, check=4)
    shutil.rmtree(estimates.parent)
    assert "analyses.drift" in bridgebench(store, "leaderboard", "check", published, check=4)
    bridgebench(store, "gc", "--yes")
    assert all((store / stage / "manifest.json").exists() for stage in named.values())
