"""A published directory → what its board is built from: rows, samples and stages, from files alone, no model.

``read`` gives the content, ``rebuild`` builds it again; a board whose evidence is left out has rows without samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness import files
from harness.errors import BridgebenchError
from harness.evidence import Evidence, PublishedEvidence
from harness.leaderboard import samples
from harness.leaderboard.build import DATA, build
from harness.leaderboard.fields import Board, Row


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
    evidence = PublishedEvidence(directory)
    done = [row for row in rows if not row.get("failed")]
    return Content(
        data,
        rows,
        {row["row"]: samples_of(row, evidence) for row in done},
        {row["row"]: stages_of(row, evidence) for row in done},
    )


def rebuild(directory: Path, destination: Path) -> Path:
    """Build the board of ``directory`` again, into ``destination``; evidence is not copied."""
    content = read(directory)
    return build(content.board, content.rows, content.samples, destination, stages=content.stages)


def samples_of(row: Row, evidence: Evidence) -> list[Row]:
    """What the browser of verdicts shows of a row, on all its benchmarks.

    Prompts of further benchmarks are named after their benchmark, as ids may repeat.
    """
    found = _samples(row.get("stage_keys") or {}, evidence)
    for name, figures in list((row.get("benchmarks") or {}).items())[1:]:
        more = _samples(figures.get("stage_keys") or {}, evidence)
        found += [{**line, "prompt_id": f"{name}/{line['prompt_id']}"} for line in more]
    return found


def stages_of(row: Row, evidence: Evidence) -> list[Row]:
    """Manifests of the row's stages in their order, a training stage's with its ``metrics``."""
    found = []
    for name in (row.get("stage_keys") or {}).values():
        manifest = evidence.manifest(name)
        if manifest is not None:
            found.append(manifest | {"metrics": _lines(evidence, name, "metrics.jsonl")})
    return found


def _samples(keys: dict[str, str], evidence: Evidence) -> list[Row]:
    judge = evidence.manifest(keys["judge"]) if "judge" in keys else None
    if judge is None:
        return []
    inputs = judge["inputs"]
    own, baseline = (_lines(evidence, inputs.get(role), "completions.jsonl") for role in ("completions", "baseline"))
    return samples.gather(_lines(evidence, keys["judge"], "verdicts.jsonl"), own, baseline)


def _lines(evidence: Evidence, name: str | None, file: str) -> list[Row]:
    """The rows of a stage's file; none where it has no such file."""
    try:
        return evidence.lines(name, file) if name else []
    except BridgebenchError:
        return []
