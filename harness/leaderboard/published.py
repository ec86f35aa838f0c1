"""A published directory → what its board is built from: rows, samples and stages, from files alone, no model.

``read`` gives the content, ``rebuild`` builds it again; a board whose evidence is left out has rows without samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from harness import files
from harness.errors import BridgebenchError
from harness.leaderboard import samples
from harness.leaderboard.build import DATA, build
from harness.leaderboard.fields import Board, Row

EVIDENCE = "evidence"
_MANIFEST = "manifest.json"


class Content(NamedTuple):
    """The arguments of `harness.leaderboard.build` but the last."""

    board: Board
    rows: list[Row]
    samples: dict[str, list[Row]]
    stages: dict[str, list[Row]]


def read(directory: Path) -> Content:
    """Everything the board in ``directory`` shows. Raises BridgebenchError if there is no board."""
    if not (directory / DATA).is_file():
        raise BridgebenchError(f"{directory} is no board: it has no {DATA}.", "give the directory of a published board")
    data = files.read_json(directory / DATA)
    rows = data.pop("rows")
    evidence = directory / EVIDENCE
    done = [row for row in rows if not row.get("failed")]
    return Content(
        data,
        rows,
        {row["row"]: _samples(row, evidence) for row in done},
        {row["row"]: _stages(row, evidence) for row in done},
    )


def rebuild(directory: Path, destination: Path) -> Path:
    """Build the board of ``directory`` again, into ``destination``; evidence is not copied."""
    content = read(directory)
    return build(content.board, content.rows, content.samples, destination, stages=content.stages)


def _samples(row: Row, evidence: Path) -> list[Row]:
    name = (row.get("stage_keys") or {}).get("judge")
    judge = _manifest(evidence, name)
    if judge is None:
        return []
    inputs = judge["inputs"]
    own, baseline = (_lines(evidence, inputs.get(role), "completions.jsonl") for role in ("completions", "baseline"))
    return samples.gather(_lines(evidence, name, "verdicts.jsonl"), own, baseline)


def _stages(row: Row, evidence: Path) -> list[Row]:
    """Manifests of the row's stages in their order, a training stage's with its ``metrics``."""
    found = []
    for name in (row.get("stage_keys") or {}).values():
        manifest = _manifest(evidence, name)
        if manifest is not None:
            found.append(manifest | {"metrics": _lines(evidence, name, "metrics.jsonl")})
    return found


def _manifest(evidence: Path, name: str | None) -> dict[str, Any] | None:
    path = evidence / str(name) / _MANIFEST
    return files.read_json(path) if name and path.is_file() else None


def _lines(evidence: Path, name: str | None, file: str) -> list[Row]:
    path = evidence / str(name) / f"{file}.gz"
    return files.read_jsonl(path) if name and path.is_file() else []
