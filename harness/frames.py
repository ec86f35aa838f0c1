"""Boards and verdicts as pandas DataFrames, for notebooks. Importing this loads nothing; calling it loads pandas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NESTED = ("by_split", "by_family", "stage_keys", "benchmarks", "provenance")


def load_board(name: str, *, results: str | Path = "results", part: str | None = None) -> pd.DataFrame:
    """One line per row of a board, indexed by ``row``, in rank order; figures as in ``data.json``, rates 0 to 100.

    ``name`` is a board of the store ``results``, a published one under ``leaderboards/``, or a directory. ``part``
    takes the figures of one part of the benchmark. Nested values become columns ``stage/judge`` and so on. Raises
    BridgebenchError for an unknown board.
    """
    import pandas as pd

    from harness.board_evidence import board
    from harness.leaderboard import fields
    from harness.store import Store

    found = board(name, Store(Path(results)))
    lines = []
    for row in fields.in_rank_order(found.data, [fields.complete(row) for row in found.data["rows"]]):
        flat = {key: value for key, value in row.items() if key not in NESTED}
        flat |= {} if part is None else {key: fields.cell(row, part).get(key) for key in fields.CORE}
        lines.append(flat | {f"stage/{kind}": key for kind, key in (row.get("stage_keys") or {}).items()})
    return pd.DataFrame(lines).set_index("row")


def load_verdicts(row: str, *, results: str | Path = "results", benchmark: str | None = None) -> pd.DataFrame:
    """One line per verdict of ``BOARD/ROW``; preferences and scores 0 to 1, missing ones NaN."""
    import pandas as pd

    from harness import board_evidence as evidence
    from harness.store import Store

    found, name = evidence.row(row, Store(Path(results)))
    return pd.DataFrame(found.verdicts(name, benchmark))
