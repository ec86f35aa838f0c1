"""Putting a board together in a temporary directory, then swapping it in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness import files
from harness.leaderboard import figures, site, tables

Row = dict[str, Any]


def build_board(board: dict[str, Any], rows: list[Row], samples: dict[str, list[Row]], destination: Path) -> None:
    """See `harness.leaderboard.build`."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".board-") as temporary:
        fresh = Path(temporary) / "board"
        fresh.mkdir()
        files.write_json(fresh / "data.json", {**board, "rows": rows})
        files.write_text(fresh / "leaderboard.csv", tables.as_csv(rows))
        files.write_text(fresh / "leaderboard.md", tables.as_markdown(board, rows))
        figures.write(board, rows, fresh / "figures")
        site.write(board, rows, samples, fresh)
        swap(fresh, destination)


def swap(fresh: Path, destination: Path) -> None:
    """Rename ``fresh`` to ``destination``; what stood there is removed after it was moved aside."""
    old = fresh.with_name("old")
    if destination.exists():
        destination.replace(old)
    fresh.replace(destination)
    shutil.rmtree(old, ignore_errors=True)
