"""A finished board → a directory for the world, with the evidence behind every number.

``evidence/`` holds manifests, completions, verdicts, estimates and training metrics, compressed. It is read by
`harness.verify` and never as a cache.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path

import yaml

from harness import board, files, specs
from harness.adapters import alpaca_eval
from harness.errors import BridgebenchError
from harness.plan import Plan, Row
from harness.stage import Stage
from harness.store import MANIFEST, Store

# what of each kind of stage a reader needs; weights and token arrays can be made again and are large
EVIDENCE = {
    "convert": [],
    "tokenize": ["rows.jsonl"],
    "reference": [],
    "train": ["metrics.jsonl"],
    "generate": ["completions.jsonl"],
    "judge": ["verdicts.jsonl"],
    "aggregate": ["estimates.json"],
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
        shutil.copytree(built, fresh)
        _write_description(plan, fresh)
        for stage in plan.stages:
            _copy_evidence(stage, store, fresh / "evidence" / stage.kind / stage.key)
        for row in plan.rows:
            _write_alpaca_eval(row, store, fresh / "evidence" / "alpaca_eval")
        _swap(fresh, destination)
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
    for name in EVIDENCE[stage.kind]:
        data = (source / name).read_bytes()
        files.write_bytes(target / f"{name}.gz", gzip.compress(data, 9, mtime=0))


def _write_alpaca_eval(row: Row, store: Store, folder: Path) -> None:
    """The row in AlpacaEval's own format, for its tools."""
    completions = files.read_jsonl(specs.directory(store, row.generate) / "completions.jsonl")
    baseline = files.read_jsonl(specs.directory(store, row.judge.inputs["baseline"]) / "completions.jsonl")
    verdicts = files.read_jsonl(specs.directory(store, row.judge) / "verdicts.jsonl")
    target = folder / row.name
    target.mkdir(parents=True)
    alpaca_eval.write_model_outputs(completions, target / "model_outputs.json", generator=row.name)
    alpaca_eval.write_annotations(verdicts, completions, baseline, target / "annotations.json")
    for path in list(target.iterdir()):
        files.write_bytes(path.with_name(f"{path.name}.gz"), gzip.compress(path.read_bytes(), 9, mtime=0))
        path.unlink()


def _swap(fresh: Path, destination: Path) -> None:
    """Put ``fresh`` where ``destination`` was; the old one goes only after the new one is whole."""
    old = fresh.with_name("old")
    if destination.exists():
        if not (destination / "data.json").exists() and any(destination.iterdir()):
            raise BridgebenchError(
                f"{destination} exists and is no board; nothing was overwritten.", "choose another --to"
            )
        destination.replace(old)
    fresh.replace(destination)
