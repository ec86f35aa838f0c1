"""A finished board → a directory for the world, with the evidence behind every number.

``evidence/`` holds manifests, completions, verdicts, estimates and training metrics, compressed. It is read by
`harness.verify` and never as a cache.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from harness import board, files, inline, specs
from harness.board_evidence import Board, Evidence, StoreEvidence
from harness.errors import BridgebenchError
from harness.plan import Plan
from harness.stage import Stage
from harness.store import MANIFEST, Store

# what of each kind of stage a reader needs; weights and token arrays can be made again and are large
EVIDENCE: dict[str, list[str]] = {
    "convert": [],
    "tokenize": ["rows.jsonl"],
    "prompts": ["rows.jsonl"],
    "reference": [],
    "train": ["metrics.jsonl"],
    "generate": ["completions.jsonl"],
    "scores": ["scores.jsonl"],
    "judge": inline.JUDGE_FILES,
    "aggregate": ["estimates.json"],
    "analyze": [],
    "analysis": ["estimates.json", "pictures.json"],
}


def to_directory(plan: Plan, store: Store, destination: Path) -> int:
    """Publish the recipe's board to ``destination``; returns the number of files. Raises BridgebenchError if
    unfinished.
    """
    missing = [stage.name for stage in plan.stages if store.manifest(stage.kind, stage.key) is None]
    if missing:
        raise BridgebenchError(
            f"{plan.recipe.name} is not finished: {len(missing)} stages are missing, e.g. {missing[0]}.",
            f"bridgebench run {plan.recipe.name}",
        )
    built = board.build(plan, store)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".publish-") as temporary:
        fresh = Path(temporary) / "board"
        files.copy_tree(built, fresh)
        _write_description(plan, fresh)
        for stage in plan.stages:
            _copy_evidence(stage, store, fresh / "evidence" / stage.kind / stage.key)
        copy_analyses(Board(fresh, StoreEvidence(store)), fresh / "evidence")
        swap(fresh, destination)
    return sum(path.is_file() for path in destination.rglob("*"))


def copy_board(board: Board, destination: Path) -> int:
    """Publish a board that is there already, evidence included; returns the number of files.

    Raises BridgebenchError where ``destination`` holds something else.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".publish-") as temporary:
        fresh = Path(temporary) / "board"
        files.copy_tree(board.directory, fresh)
        if not (fresh / "evidence").is_dir():
            for row in board.rows:
                copy_row_evidence(board, row, fresh / "evidence")
            copy_analyses(board, fresh / "evidence")
        swap(fresh, destination)
    return sum(path.is_file() for path in destination.rglob("*"))


def _write_description(plan: Plan, directory: Path) -> None:
    text = yaml.safe_dump(plan.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    heading = (
        f"# bridgebench run {plan.recipe.name} makes this board; what follows is its recipe, defaults written out.\n"
    )
    files.write_text(directory / "board.yaml", heading + text)


def _copy_evidence(stage: Stage, store: Store, target: Path) -> None:
    source = specs.directory(store, stage)
    target.mkdir(parents=True)
    shutil.copyfile(source / MANIFEST, target / MANIFEST)
    for name in (name for name in EVIDENCE[stage.kind] if (source / name).exists()):
        data = (source / name).read_bytes()
        files.write_bytes(target / f"{name}.gz", gzip.compress(data, 9, mtime=0))


def copy_row_evidence(board: Board, row: str, target: Path) -> None:
    """Copy what one row of another board was made from to ``target``, its stages' inputs included."""
    waiting = [key for benchmark in board.benchmarks for key in board.stage_keys(row, benchmark).values()]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        manifest = None if name in seen else board.evidence.manifest(name)
        seen.add(name)
        if manifest is not None:
            waiting += manifest.get("inputs", {}).values()
            _copy_named(board.evidence, name, manifest, target / name)


ANALYSED = ("analysis", "analyze", "tokenize", "scores", "convert")


def copy_analyses(board: Board, target: Path) -> None:
    """Copy the analyses that a board names to ``target``, and the manifests of what they were computed from."""
    waiting = list((board.data.get("analyses") or {}).values())
    while waiting:
        name = waiting.pop()
        manifest = board.evidence.manifest(name)
        if manifest is not None and name.partition("/")[0] in ANALYSED and not (target / name).exists():
            waiting += manifest.get("inputs", {}).values()
            _copy_named(board.evidence, name, manifest, target / name)


def _copy_named(evidence: Evidence, name: str, manifest: dict[str, Any], target: Path) -> None:
    files.write_json(target / MANIFEST, manifest)
    for file in EVIDENCE[name.partition("/")[0]]:
        if (data := evidence.content(name, file)) is not None:
            files.write_bytes(target / f"{file}.gz", gzip.compress(data, 9, mtime=0))


def swap(fresh: Path, destination: Path) -> None:
    """Put ``fresh`` where ``destination`` was; the old one goes only after the new one is whole."""
    old = fresh.with_name("old")
    if destination.exists():
        if not (destination / "data.json").exists() and any(destination.iterdir()):
            raise BridgebenchError(
                f"{destination} exists and is no board; nothing was overwritten.", "choose another --to"
            )
        destination.replace(old)
    fresh.replace(destination)
