"""The verdicts behind a board: from the store that made it, or from the evidence published beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files
from harness.errors import IntegrityError

Board = dict[str, Any]
VERDICTS = "verdicts.jsonl"


def root_of(directory: Path, store: Path) -> Path:
    """Where the stages of the board in ``directory`` lie: its own ``evidence/``, else ``store``."""
    return directory / "evidence" if (directory / "evidence").is_dir() else store


def verdicts(board: Board, root: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Benchmark → row → verdicts of every finished row, the primary benchmark first.

    Raises IntegrityError for a row whose verdicts are not below ``root``.
    """
    names = board.get("benchmarks") or ["the benchmark"]
    return {name: _by_row(board, name, root, primary=not number) for number, name in enumerate(names)}


def _by_row(board: Board, benchmark: str, root: Path, *, primary: bool) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for row in board["rows"]:
        keys = _stage_keys(row, benchmark, primary=primary)
        if row.get("failed") is None and keys.get("judge"):
            found[row["row"]] = _read(root, keys["judge"], row["row"])
    return found


def _stage_keys(row: dict[str, Any], benchmark: str, *, primary: bool) -> dict[str, str]:
    own = ((row.get("benchmarks") or {}).get(benchmark) or {}).get("stage_keys")
    return own or (row.get("stage_keys") if primary else None) or {}


def _read(root: Path, stage: str, row: str) -> list[dict[str, Any]]:
    for name in (VERDICTS, f"{VERDICTS}.gz"):
        if (root / stage / name).is_file():
            return files.read_jsonl(root / stage / name)
    raise IntegrityError(
        f"the verdicts of row {row} ({stage}) are not in {root}.",
        "run the recipe again, or give the board's directory with its evidence",
    )
