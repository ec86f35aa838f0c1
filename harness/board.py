"""A finished plan → the board of its recipe under ``results/boards/<name>/``, rebuilt only when something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import __version__, files, inline, specs
from harness.executors.outcome import Outcome
from harness.plan import Plan, Row
from harness.stage import Stage
from harness.store import Store

BOARD_MANIFEST = "board.json"
CODE_VERSION = 3


def build(plan: Plan, store: Store, outcome: Outcome | None = None) -> Path:
    """Write the board of ``plan``; rows that failed are labelled, not left out. Returns its directory."""
    destination = store.root / "boards" / plan.recipe.name
    failed = {row.name: outcome.why_missing(row.aggregate) if outcome else None for row in plan.rows}
    key = _key(plan, failed)
    if (destination / BOARD_MANIFEST).exists() and files.read_json(destination / BOARD_MANIFEST)["key"] == key:
        return destination
    from harness import leaderboard
    from harness.aggregate import compare

    done = [row for row in plan.rows if _finished(row, store)]
    verdicts = {row.name: _read(store, row.judge, "verdicts.jsonl") for row in done}
    comparison = compare(verdicts, seed=plan.recipe.statistics.seed)
    rows = [_row(row, store, failed[row.name], comparison) for row in plan.rows]
    samples = {row.name: _samples(row, store, verdicts[row.name]) for row in done}
    stages = {row.name: _stages(row, store) for row in done}
    leaderboard.build(_board(plan, store, done, comparison), rows, samples, destination, stages=stages)
    files.write_json(destination / BOARD_MANIFEST, {"key": key})
    return destination


def _key(plan: Plan, failed: dict[str, str | None]) -> str:
    named = {
        "code": [__version__, CODE_VERSION],
        "recipe": plan.recipe.model_dump(mode="json"),
        "rows": {row.name: row.aggregate.key for row in plan.rows},
        "failed": failed,
    }
    return files.sha256_text(files.canonical_json(named))[:16]


def _finished(row: Row, store: Store) -> bool:
    return store.manifest("aggregate", row.aggregate.key) is not None


def _read(store: Store, stage: Stage, name: str) -> list[dict[str, Any]]:
    return files.read_jsonl(specs.directory(store, stage) / name)


def _row(row: Row, store: Store, failed: str | None, comparison: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "row": row.name,
        **row.description,
        "failed": failed,
        "stage_keys": row.stage_keys,
    }
    if not _finished(row, store):
        described["failed"] = failed or "not run yet"
        return described
    estimates = files.read_json(specs.directory(store, row.aggregate) / "estimates.json")
    described |= estimates | {"rank": comparison["ranks"].get(row.name)}
    return described | _training_figures(row, store)


def _training_figures(row: Row, store: Store) -> dict[str, Any]:
    """Seconds, speed and surviving updates of the row's last training stage; nulls for the base."""
    if not row.train:
        return {"train_seconds": None, "train_tokens_per_second": None, "surviving_updates": None}
    manifests = [store.manifest("train", stage.key) or {} for stage in row.train]
    last = manifests[-1].get("summary", {})
    return {
        "train_seconds": sum(manifest.get("seconds", 0.0) for manifest in manifests),
        "train_tokens_per_second": last.get("tokens_per_second"),
        "surviving_updates": last.get("surviving_updates"),
    }


def _samples(row: Row, store: Store, verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from harness.leaderboard import samples

    own = files.read_jsonl(inline.completions_path(row.generate, store))
    return samples.gather(verdicts, own, files.read_jsonl(inline.completions_path(row.judge.inputs["baseline"], store)))


def _stages(row: Row, store: Store) -> list[dict[str, Any]]:
    """Manifests of the row's stages in their order, a training stage's with its ``metrics``."""
    found = []
    for name in row.stage_keys.values():
        kind, key = name.split("/", 1)
        metrics = store.path(kind, key) / "metrics.jsonl"
        lines = files.read_jsonl(metrics) if metrics.is_file() else []
        found.append((store.manifest(kind, key) or {"kind": kind, "key": key}) | {"metrics": lines})
    return found


def _board(plan: Plan, store: Store, done: list[Row], comparison: dict[str, Any]) -> dict[str, Any]:
    manifests = [store.manifest("aggregate", row.aggregate.key) or {} for row in done]
    manifests += [store.manifest("generate", row.generate.key) or {} for row in done]
    commits = sorted({str(m["commit"]) + ("+changes" if m.get("dirty") else "") for m in manifests if m.get("commit")})
    recipe = plan.recipe
    return {
        "board": recipe.name,
        "title": recipe.title,
        "description": recipe.description,
        "base": plan.base.reference,
        "benchmark": f"{recipe.benchmark.source} {recipe.benchmark.split}",
        "judge": recipe.judge.name,
        "baseline": recipe.judge.baseline,
        "created": max((str(m["finished"]) for m in manifests if m.get("finished")), default=None),
        "commits": commits,
        "machine": manifests[-1].get("machine") if manifests else None,
        "versions": manifests[-1].get("versions") if manifests else None,
        "recipe": recipe.model_dump(mode="json"),
        "comparison": comparison,
        "notes": _notes(plan, store, done),
    }


def _notes(plan: Plan, store: Store, done: list[Row]) -> list[str]:
    """What a reader must know before quoting a number."""
    notes = []
    if len(plan.recipe.seeds) == 1:
        notes.append("One training seed: each interval describes this checkpoint only, not the recipe behind it.")
    marks: dict[str, set[str]] = {"versions": set(), "machine": set()}
    for row in done:
        for stage in (row.generate, *row.train):
            manifest = store.manifest(stage.kind, stage.key) or {}
            kind_mark = stage.kind if "versions" in manifest else ""
            for name, seen in marks.items():
                seen.add(kind_mark + files.canonical_json(manifest.get(name)))
    for name, seen in marks.items():
        kinds = {"generate", "train"}
        if any(sum(mark.startswith(kind) for mark in seen) > 1 for kind in kinds):
            notes.append(f"Rows differ in the {name} they were made with; see their manifests.")
    return notes
