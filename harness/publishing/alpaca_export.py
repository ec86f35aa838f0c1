"""A board → AlpacaEval's layout for submissions: ``results/ROW/`` and ``models_configs/ROW/`` per row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness import files
from harness.board_evidence import Board
from harness.errors import BridgebenchError

FILES = ("model_outputs.json", "annotations.json")


def write(board: Board, out: Path, row: str | None = None) -> list[str]:
    """Write the outputs, annotations and settings of every judged row (or one) below ``out``; returns the rows.

    Raises BridgebenchError where a row's judge left no such files.
    """
    names = [row] if row is not None else [name for name, each in board.rows.items() if not each.get("failed")]
    if not names:
        raise BridgebenchError(f"{board.name} has no finished row to export.")
    found = {name: _files(board, name) for name in names}
    for name, contents in found.items():
        for file, data in contents.items():
            files.write_bytes(out / "results" / name / file, data)
        files.write_text(out / "models_configs" / name / "configs.yaml", _config(board, name))
    return names


def _files(board: Board, name: str) -> dict[str, bytes]:
    stage = board.stage_keys(name).get("judge", "")
    found = {file: board.evidence.content(stage, file) for file in FILES} if stage else {}
    if found.get(FILES[0]) is None:
        raise BridgebenchError(f"{board.name}/{name} has no {FILES[0]} among its evidence.")
    return {file: data for file, data in found.items() if data is not None}


def _config(board: Board, name: str) -> str:
    """What AlpacaEval wants to know of a model; how it answered is told, not how to run it again."""
    manifest = board.evidence.manifest(board.stage_keys(name)["generate"]) or {}
    identity: dict[str, Any] = manifest.get("identity", {})
    described = {
        "pretty_name": name,
        "fn_completions": None,
        "completions_kwargs": {"model_name": name, **(identity.get("sampling") or {})},
    }
    return yaml.safe_dump({name: described}, sort_keys=False, allow_unicode=True)
