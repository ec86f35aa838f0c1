"""``leaderboard build``: a board from results only, named by a board file, a recipe or a published directory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from harness import board, files, publish, recipe_file
from harness import board_evidence as evidence
from harness.board_evidence import Board, PublishedEvidence
from harness.boards import board_file, composite, recompute
from harness.claims import writing as claims
from harness.errors import BridgebenchError
from harness.plan import make_plan
from harness.store import Store

KEPT = ("evidence", "board.yaml", "board.json", claims.VALUES)


def build(name: str, store: Store, destination: Path | None = None) -> Path:
    """Build the board that ``name`` means and return its directory. Raises BridgebenchError where results lack."""
    path = Path(name)
    if board_file.is_board_file(path):
        return composite.build(board_file.load(path), store, destination)
    found = evidence.locate(name, store)
    if found is not None and (found / "evidence").is_dir():
        return published(Board(found, PublishedEvidence(found)), destination or found)
    plan = make_plan(recipe_file.load(name, (), store.root / recipe_file.SAVED), store.root / "downloads")
    if not any(store.manifest("aggregate", stage.key) for row in plan.rows for stage in row.aggregates):
        raise BridgebenchError(f"{name} has no results yet, so there is no board.", f"bridgebench run {name}")
    if destination is not None:
        publish.to_directory(plan, store, destination)
        return destination
    return board.build(plan, store)


def published(found: Board, destination: Path) -> Path:
    """A published board as this version shows it: figures, comparison and site made anew, its evidence kept.

    In place, or beside it. What only a run can know (titles, commits, times) is taken from the board itself.
    """
    from harness import leaderboard

    described = {key: value for key, value in found.data.items() if key != "rows"}
    rows = [_row(found, name) for name in found.rows]
    comparisons = _comparisons(found)
    for row in rows:
        if not row.get("failed"):
            row["rank"] = comparisons[found.primary]["ranks"].get(row["row"])
    described |= {"comparison": comparisons[found.primary]}
    if len(comparisons) > 1:
        described["comparisons"] = comparisons
    whole = [row for row in rows if not row.get("failed")]
    samples = {row["row"]: leaderboard.published.samples_of(described, row, found.evidence) for row in whole}
    stages = {row["row"]: leaderboard.published.stages_of(row, found.evidence) for row in whole}
    analyses = leaderboard.published.analyses_of(described, rows, found.evidence)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".rebuild-") as temporary:
        fresh = Path(temporary) / "board"
        leaderboard.build(described, rows, samples, fresh, stages=stages, analyses=analyses)
        for name in KEPT:
            _copy(found.directory / name, fresh / name)
        if described.get("claims_page"):
            claims.refresh(fresh, Store(fresh))
        publish.swap(fresh, destination)
    return destination


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        files.copy_tree(source, target)
    elif source.is_file():
        files.write_bytes(target, source.read_bytes())


def _row(found: Board, name: str) -> dict[str, Any]:
    row = dict(found.rows[name])
    if row.get("failed"):
        return row
    row |= recompute.estimates(found, name)
    if row.get("benchmarks"):
        row["benchmarks"] = {
            benchmark: {**figures, **recompute.estimates(found, name, benchmark)}
            for benchmark, figures in row["benchmarks"].items()
        }
    return row


def _comparisons(found: Board) -> dict[str, Any]:
    names = [name for name, row in found.rows.items() if not row.get("failed")]
    metric = (found.data.get("comparison") or {}).get("metric")
    return {
        benchmark: recompute.comparison(
            {name: found.verdicts(name, benchmark) for name in names},
            seed=recompute.comparison_seed(found),
            metric=metric if benchmark == found.primary else None,
        )
        for benchmark in found.benchmarks
    }
