"""The leaderboard: rows → ``data.json``, tables, figures and a static site. Knows nothing of stages or stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaderboard.build import build_board

Row = dict[str, Any]

__all__ = ["build"]


def build(board: dict[str, Any], rows: list[Row], samples: dict[str, list[Row]], destination: Path) -> None:
    """Write the board to ``destination``, replacing what was there only when the new one is whole.

    ``board`` describes it (title, benchmark, judge, baseline, notes, provenance), ``rows`` are its lines with the
    keys of
    docs/files.md, ``samples`` the completions to show per row.
    """
    build_board(board, rows, samples, destination)
