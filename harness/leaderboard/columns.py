"""What a board shows: columns, their headings, and how a number is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
PARTS = {"in": "trained families", "out": "unseen families", "retain": "general prompts"}


@dataclass(frozen=True)
class Column:
    """One column of the table. ``part`` picks the part of the benchmark; None is all of it."""

    key: str
    title: str
    help: str
    part: str | None = None
    interval: bool = False
    digits: int = 1

    def value(self, row: Row) -> Any:
        """The row's value; None where there is none."""
        return self._source(row).get(self.key)

    def bounds(self, row: Row) -> tuple[float, float] | None:
        """The 95 % interval, where the column has one and the row too."""
        source = self._source(row)
        low, high = source.get(f"{self.key}_low"), source.get(f"{self.key}_high")
        return (low, high) if self.interval and low is not None and high is not None else None

    def text(self, row: Row) -> str:
        """The value as a table shows it; a missing one is an en dash."""
        value = self.value(row)
        if value is None:
            return "–"
        return f"{value:.{self.digits}f}" if isinstance(value, float) else str(value)

    def _source(self, row: Row) -> Row:
        if self.part is None:
            return row
        return (row.get("by_split") or {}).get(self.part) or {}


def parts_of(rows: list[Row]) -> list[str]:
    """The parts that the rows have, in reading order."""
    found = {part for row in rows for part in (row.get("by_split") or {})}
    return [part for part in PARTS if part in found] + sorted(found - set(PARTS))


def columns_for(rows: list[Row]) -> list[Column]:
    """The columns of the main table."""
    pass_help = "share of prompts whose response scores 1, with Wilson's 95 % interval"
    parts = [
        Column("pass_rate", f"Pass {part}", f"{PARTS.get(part, part)}: {pass_help}", part, interval=True)
        for part in parts_of(rows)
    ]
    return [
        *parts,
        Column("pass_rate", "Pass all", f"all prompts: {pass_help}", interval=True),
        Column(
            "win_rate",
            "Win rate",
            "against the baseline, ties one half, 95 % bootstrap interval",
            interval=True,
        ),
        Column("lc_win_rate", "LC win", "length-controlled win rate, 95 % bootstrap interval", interval=True),
        Column("mean_length", "Length", "mean characters of a response", digits=0),
        Column("truncation_rate", "Cut", "percent of responses that hit the token limit"),
    ]


def learning_rate(row: Row) -> str:
    """``1e-4``."""
    value = row.get("learning_rate")
    return "–" if value is None else f"{value:.0e}".replace("e-0", "e-")
