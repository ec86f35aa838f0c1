"""A finished plan → the board of its recipe under ``results/boards/<name>/``, rebuilt only when something changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from harness import __version__, files, seed_groups, specs
from harness.analysis import finished
from harness.board_evidence import StoreEvidence
from harness.claims import registration
from harness.executors.outcome import Outcome
from harness.plan import Plan, Row
from harness.stage import Stage
from harness.store import Store, split_name

BOARD_MANIFEST = "board.json"
CODE_VERSION = 5
PROVENANCE = ("commit", "dirty", "command", "versions", "machine", "finished")


def build(plan: Plan, store: Store, outcome: Outcome | None = None) -> Path:
    """Write the board of ``plan``; rows that failed are labelled, not left out. Returns its directory."""
    destination = store.root / "boards" / plan.recipe.name
    failed = {row.name: _why_missing(row, outcome) if outcome else None for row in plan.rows}
    analyses = finished.of_rows([{"row": row.name, "stage_keys": row.stage_keys} for row in plan.rows], store)
    key = _key(plan, failed, store, analyses)
    if (destination / BOARD_MANIFEST).exists() and files.read_json(destination / BOARD_MANIFEST)["key"] == key:
        return destination
    from harness import leaderboard
    from harness.aggregate import compare
    from harness.claims import writing

    done = [row for row in plan.rows if _finished(row, store)]
    verdicts = {name: _verdicts(done, name, store) for name in _names(plan)}
    comparisons = {
        name: compare(verdicts[name], _metric(plan, name), seed=plan.recipe.statistics.seed) for name in verdicts
    }
    rows = [_row(row, store, failed[row.name], comparisons) for row in plan.rows]
    rows += [_refused(name, plan) for name in plan.refused]
    board = _board(plan, store, done, comparisons) | ({"analyses": analyses} if analyses else {})
    if len(plan.recipe.seeds) > 1:
        metric = board["comparison"]["metric"]
        board |= seed_groups.describe(rows, verdicts, metric, seed=plan.recipe.statistics.seed)
    if plan.recipe.claims is not None:
        board |= {"claims_page": "claims.html", "claims_registration": _registration(plan, store)}
    evidence, whole = StoreEvidence(store), [row for row in rows if row["failed"] is None]
    samples = {row["row"]: leaderboard.published.samples_of(board, row, evidence) for row in whole}
    stages = {row["row"]: leaderboard.published.stages_of(row, evidence) for row in whole}
    said = leaderboard.published.analyses_of(board, rows, evidence)
    leaderboard.build(board, rows, samples, destination, stages=stages, analyses=said)
    if plan.recipe.claims is not None:
        writing.refresh(destination, store)
    files.write_json(destination / BOARD_MANIFEST, {"key": key})
    return destination


def _registration(plan: Plan, store: Store) -> dict[str, Any] | None:
    """When the claims were recorded, and whether that was before the first verdict on a trained row."""
    record = registration.read(plan.recipe, store)
    if record is None:
        return None
    judged = [
        str(manifest["started"])
        for row in plan.rows
        for evaluated in row.evaluations.values()
        if row.train and (manifest := store.manifest("judge", evaluated.judge.key)) is not None
    ]
    first = min(judged, default=None)
    kept = {key: record[key] for key in ("digest", "recorded", "seeds")}
    return {**kept, "first_verdict": first, "before_results": None if first is None else record["recorded"] <= first}


def _names(plan: Plan) -> list[str]:
    """The benchmarks, the primary one first."""
    return list(plan.recipe.evaluations)


def _metric(plan: Plan, benchmark: str) -> Literal["mean_score"] | None:
    """What rows are compared by, where their verdicts do not tell: ratings are scores, not passes."""
    return "mean_score" if plan.recipe.evaluations[benchmark].judge.protocol == "mt_bench" else None


def _why_missing(row: Row, outcome: Outcome) -> str | None:
    reasons = (outcome.why_missing(aggregate) for aggregate in row.aggregates)
    return next((reason for reason in reasons if reason), None)


def _key(plan: Plan, failed: dict[str, str | None], store: Store, analyses: dict[str, str]) -> str:
    named = {
        "code": [__version__, CODE_VERSION],
        "recipe": plan.recipe.model_dump(mode="json"),
        "rows": {row.name: [aggregate.key for aggregate in row.aggregates] for row in plan.rows},
        "failed": failed,
        "refused": {name: error.message for name, error in plan.refused.items()},
        "calibration": _calibration(plan, store),
        "analyses": analyses,
    }
    return files.sha256_text(files.canonical_json(named))[:16]


def _finished(row: Row, store: Store) -> bool:
    return all(store.manifest("aggregate", aggregate.key) is not None for aggregate in row.aggregates)


def _read(store: Store, stage: Stage, name: str) -> list[dict[str, Any]]:
    return files.read_jsonl(specs.directory(store, stage) / name)


def _verdicts(rows: list[Row], benchmark: str, store: Store) -> dict[str, list[dict[str, Any]]]:
    return {row.name: _read(store, row.evaluations[benchmark].judge, "verdicts.jsonl") for row in rows}


def _refused(name: str, plan: Plan) -> dict[str, Any]:
    """An external row that could not be laid out: it is on the board, with the reason."""
    source = plan.recipe.externals[name].source
    reason = f"refused: {plan.refused[name].message}"
    return {"row": name, "variant": name, "source": source, "failed": reason, "stage_keys": {}}


def _row(row: Row, store: Store, failed: str | None, comparisons: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "row": row.name,
        **row.description,
        "failed": failed,
        "stage_keys": row.stage_keys,
    }
    if not _finished(row, store):
        described["failed"] = failed or "not run yet"
        return described
    estimates = {name: _estimates(row, name, store, comparisons[name]) for name in row.evaluations}
    described |= estimates[row.primary.benchmark] | _training_figures(row, store)
    described["provenance"] = _provenance(row, store)
    if len(estimates) > 1:
        described["benchmarks"] = estimates
    return described


def _estimates(row: Row, benchmark: str, store: Store, comparison: dict[str, Any]) -> dict[str, Any]:
    """A row's figures on one benchmark, its rank there, and the stages they came from."""
    evaluated = row.evaluations[benchmark]
    estimates = files.read_json(specs.directory(store, evaluated.aggregate) / "estimates.json")
    keys = {stage.kind: stage.name for stage in (evaluated.generate, evaluated.judge, evaluated.aggregate)}
    return {**estimates, "rank": comparison["ranks"].get(row.name), "stage_keys": row.stage_keys | keys}


def _provenance(row: Row, store: Store) -> list[dict[str, Any]]:
    """Who made each of the row's stages: commit, command, versions and machine, in running order."""
    found = []
    for name in row.stage_keys.values():
        manifest = store.manifest(*split_name(name)) or {}
        found.append({"stage": name, **{key: manifest.get(key) for key in PROVENANCE}})
    return found


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


def _board(plan: Plan, store: Store, done: list[Row], comparisons: dict[str, Any]) -> dict[str, Any]:
    used = [evaluated for row in done for evaluated in row.evaluations.values()]
    manifests = [store.manifest("aggregate", evaluated.aggregate.key) or {} for evaluated in used]
    manifests += [store.manifest("generate", evaluated.generate.key) or {} for evaluated in used]
    commits = sorted({str(m["commit"]) + ("+changes" if m.get("dirty") else "") for m in manifests if m.get("commit")})
    recipe = plan.recipe
    primary, *others = recipe.evaluations.values()
    return {
        "board": recipe.name,
        "title": recipe.title,
        "description": recipe.description,
        "base": plan.base.reference if plan.base is not None else None,
        "benchmark": f"{primary.benchmark.source} {primary.benchmark.split}",
        "benchmarks": [evaluation.name for evaluation in (primary, *others)],
        "judge": primary.judge.name,
        "baseline": primary.judge.baseline,
        "calibration": _calibration(plan, store),
        "created": max((str(m["finished"]) for m in manifests if m.get("finished")), default=None),
        "commits": commits,
        "machine": manifests[-1].get("machine") if manifests else None,
        "versions": manifests[-1].get("versions") if manifests else None,
        "recipe": recipe.model_dump(mode="json"),
        "comparison": comparisons[primary.name],
        "comparisons": comparisons if others else {},
        "notes": _notes(plan, store, done),
    }


def _calibration(plan: Plan, store: Store) -> dict[str, Any] | None:
    """What is known of the primary benchmark's judge, where the truth is."""
    from harness import calibration

    return calibration.of_board(store, plan.rows[0].primary.judge) if plan.rows else None


def _notes(plan: Plan, store: Store, done: list[Row]) -> list[str]:
    """What a reader must know before quoting a number."""
    notes = []
    if plan.recipe.variants and len(plan.recipe.seeds) == 1:
        notes.append("One training seed: each interval describes this checkpoint only, not the recipe behind it.")
    notes += [note for name in _names(plan) if plan.rows for note in _judge_notes(plan.rows[0].evaluations[name].judge)]
    marks: dict[str, set[str]] = {"versions": set(), "machine": set()}
    for row in done:
        for stage in (*(evaluated.generate for evaluated in row.evaluations.values()), *row.train):
            manifest = store.manifest(stage.kind, stage.key) or {}
            kind_mark = stage.kind if "versions" in manifest else ""
            for name, seen in marks.items():
                seen.add(kind_mark + files.canonical_json(manifest.get(name)))
    for name, seen in marks.items():
        kinds = {"generate", "train"}
        if any(sum(mark.startswith(kind) for mark in seen) > 1 for kind in kinds):
            notes.append(f"Rows differ in the {name} they were made with; see their manifests.")
    return notes


def _judge_notes(stage: Stage) -> list[str]:
    """What keeps a judge's figures from being compared with published ones."""
    identity, notes = stage.identity, []
    if identity["judge"] in ("arena_hard", "mt_bench") and identity["wording"] == "own":
        notes.append(
            f"The {identity['judge']} judge was asked in this project's own words, not in the official prompt: "
            "its figures do not compare with published ones."
        )
    named, asked = identity.get("annotator_model"), (identity.get("judge_model") or {}).get("model")
    if named is not None and named != asked:
        notes.append(f"{identity['annotators_config']} names the judge model {named}; {asked} was asked.")
    return notes
