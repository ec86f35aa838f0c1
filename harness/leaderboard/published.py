"""A published directory → what its board is built from: rows, samples, stages, analyses, from files alone, no model.

``read`` gives the content, ``rebuild`` builds it again; a board whose evidence is left out has rows without samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness import files
from harness.analysis import finished
from harness.analysis.finished import Analysis
from harness.board_evidence import Evidence, PublishedEvidence
from harness.errors import BridgebenchError
from harness.leaderboard import samples
from harness.leaderboard.build import DATA, build
from harness.leaderboard.fields import Board, Row


class Content(NamedTuple):
    """The arguments of `harness.leaderboard.build` but the destination."""

    board: Board
    rows: list[Row]
    samples: dict[str, list[Row]]
    stages: dict[str, list[Row]]
    analyses: dict[str, Analysis]


def read(directory: Path) -> Content:
    """Everything the board in ``directory`` shows. Raises BridgebenchError if there is no board."""
    if not (directory / DATA).is_file():
        raise BridgebenchError(f"{directory} is no board: it has no {DATA}.", "give the directory of a published board")
    data = files.read_json(directory / DATA)
    rows = data.pop("rows")
    evidence = PublishedEvidence(directory)
    done = [row for row in rows if not row.get("failed")]
    return Content(
        data,
        rows,
        {row["row"]: samples_of(data, row, evidence) for row in done},
        {row["row"]: stages_of(row, evidence) for row in done},
        analyses_of(data, rows, evidence),
    )


def rebuild(directory: Path, destination: Path) -> Path:
    """Build the board of ``directory`` again, into ``destination``; evidence is not copied."""
    content = read(directory)
    return build(
        content.board, content.rows, content.samples, destination, stages=content.stages, analyses=content.analyses
    )


def samples_of(board: Board, row: Row, evidence: Evidence) -> list[Row]:
    """Samples of every benchmark that the row was evaluated on, the primary one first."""
    primary = (board.get("benchmarks") or [None])[0]
    evaluated = row.get("benchmarks") or {primary: row}
    found = []
    for benchmark, figures in evaluated.items():
        name = (figures.get("stage_keys") or {}).get("judge")
        judge = evidence.manifest(name) if name else None
        if judge is not None:
            roles = (judge["inputs"].get(role) for role in ("completions", "baseline"))
            own, baseline = (_lines(evidence, stage, "completions.jsonl") for stage in roles)
            found += samples.gather(_lines(evidence, name, "verdicts.jsonl"), own, baseline, benchmark)
    return found


def analyses_of(board: Board, rows: list[Row], evidence: Evidence) -> dict[str, Analysis]:
    """rewards, values, drift → what the analysis that the board names says of its rows; those that are there."""
    named = (board.get("analyses") or {}).items()
    found = {kind: finished.read(name, rows, evidence) for kind, name in named}
    return {kind: analysis for kind, analysis in found.items() if analysis is not None and analysis["rows"]}


def stages_of(row: Row, evidence: Evidence) -> list[Row]:
    """Manifests of the row's stages in their order, a training stage's with its ``metrics``."""
    found = []
    for name in (row.get("stage_keys") or {}).values():
        manifest = evidence.manifest(name)
        if manifest is not None:
            found.append(manifest | {"metrics": _lines(evidence, name, "metrics.jsonl")})
    return found


def _lines(evidence: Evidence, name: str | None, file: str) -> list[Row]:
    """The rows of a stage's file; none where it has no such file."""
    try:
        return evidence.lines(name, file) if name else []
    except BridgebenchError:
        return []
