"""Random damage to a store, to evidence and to a board: reported, never called good, never a crash."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import explain, files, inspect_store, recipe_file, verify
from harness.board_evidence import Board, PublishedEvidence
from harness.errors import BridgebenchError
from harness.plan import Plan, make_plan
from harness.store import Store, write_manifest

QUICKSTART = Path(__file__).resolve().parent.parent / "leaderboards" / "quickstart"
LIGHT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """The plan of the smoke recipe, and a store in which each of its stages has a file and a manifest."""
    root = tmp_path_factory.mktemp("planned") / "results"
    plan = make_plan(recipe_file.load("smoke"), root / "downloads")
    for stage in plan.stages:
        folder = Store(root).path(stage.kind, stage.key)
        files.write_jsonl(folder / "rows.jsonl", [{"prompt_id": str(n), "text": "x" * n} for n in range(5)])
        files.write_bytes(folder / "tokens.npy", b"\x93NUMPY" + bytes(range(64)))
        told = {"kind": stage.kind, "key": stage.key, "label": stage.label, "identity": stage.identity}
        told |= {"inputs": stage.input_keys, "recipe": "smoke", "versions": {"torch": "2"}}
        write_manifest(folder, told, ["rows.jsonl", "tokens.npy"], {"tokens": 5}, "2026-01-01T00:00:00Z", 1.0)
    return plan, root


def damaged(data: bytes, chance: random.Random) -> bytes:
    """``data`` cut, with a byte changed, with a part lost or doubled, zeroed, or emptied."""
    a, b = sorted(chance.randrange(len(data)) for _ in range(2))
    return chance.choice(
        [
            data[:a],
            data[:a] + bytes([data[a] ^ 1 << chance.randrange(8)]) + data[a + 1 :],
            data[:a] + data[b + 1 :],
            data[:b] + data[a:],
            data[:a] + bytes(b + 1 - a) + data[b + 1 :],
            b"",
            b"[" * 100_000,
        ]
    )


@settings(LIGHT, max_examples=60)
@given(st.integers(min_value=0))
def test_a_damaged_store_is_reported_and_never_called_good(planned: tuple[Plan, Path], seed: int) -> None:
    plan, root = planned
    chance = random.Random(seed)
    stage = chance.choice(plan.stages)
    store = Store(root)
    path = store.path(stage.kind, stage.key) / chance.choice(["manifest.json", "rows.jsonl", "tokens.npy"])
    whole = path.read_bytes()
    spoiled = damaged(whole, chance)
    try:
        path.write_bytes(spoiled)
        problems, checked = verify.run(store, None)
        assert checked == len(plan.stages)
        assert {problem.path.rpartition("/")[0] or problem.path for problem in problems} <= {stage.name, stage.kind}
        assert bool(problems) == (not means_the_same(path, spoiled, whole))
        inspect_store.table(inspect_store.overview(store))
        explain.screen(plan, explain.states(plan, store))
        with contextlib.suppress(BridgebenchError):
            inspect_store.describe(inspect_store.manifest(store, stage.key))
    finally:
        path.write_bytes(whole)


def means_the_same(path: Path, one: bytes, other: bytes) -> bool:
    """Equal bytes; of a manifest, equal values: a blank more or less is no damage."""
    if one == other or path.suffix != ".json":
        return one == other
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base row of the published quickstart, with its evidence."""
    folder = tmp_path_factory.mktemp("board") / "board"
    data = files.read_json(QUICKSTART / "data.json")
    data["rows"] = [row for row in data["rows"] if row["row"] == "base"]
    files.write_json(folder / "data.json", data)
    for name in data["rows"][0]["stage_keys"].values():
        shutil.copytree(QUICKSTART / "evidence" / name, folder / "evidence" / name)
    return folder


@settings(LIGHT, max_examples=40)
@given(st.integers(min_value=0))
def test_damaged_evidence_of_a_published_board_is_reported(board: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = chance.choice(sorted(board.rglob("evidence/**/*.gz")))
    whole = path.read_bytes()
    try:
        path.write_bytes(damaged(whole, chance))
        problems, _ = verify.verify_evidence(board)
        same = contents(path) == gzip.decompress(whole)
        assert any(problem.fatal and path.parent.name in problem.path for problem in problems) == (not same)
    finally:
        path.write_bytes(whole)


def contents(path: Path) -> bytes | None:
    try:
        return files.unpacked(path)
    except BridgebenchError:
        return None


@LIGHT
@given(st.integers(min_value=0))
def test_a_damaged_description_of_a_board_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    whole = files.canonical_json({"board": "b", "rows": [{"row": "a", "stage_keys": {"judge": "judge/0123"}}]}).encode()
    (tmp_path / "data.json").write_bytes(damaged(whole, random.Random(seed)))
    try:
        found = Board(tmp_path, PublishedEvidence(tmp_path))
        for name in found.rows:
            found.verdicts(name)
    except BridgebenchError as error:
        error.show().encode("utf-8")
