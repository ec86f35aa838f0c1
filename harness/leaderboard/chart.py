"""The site's dot-and-interval charts as inline SVG: they take the page's colours, light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.leaderboard.columns import Column

Row = dict[str, Any]
WIDTH, LABEL, LINE, TOP, BOTTOM = 640, 190, 26, 8, 24
TICKS = (0, 25, 50, 75, 100)


@dataclass(frozen=True)
class Mark:
    """One row of the chart, in pixels; ``x`` is None where the row has no value."""

    name: str
    group: str
    y: float
    x: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class Chart:
    """What the template needs to draw a chart."""

    title: str
    width: int
    height: int
    marks: list[Mark]
    ticks: list[tuple[int, float]]
    left: int
    bottom: float


def make(title: str, rows: list[Row], column: Column) -> Chart:
    """The chart of one column over all rows."""
    marks = [_mark(place, row, column) for place, row in enumerate(rows)]
    bottom = TOP + LINE * len(rows)
    return Chart(title, WIDTH, bottom + BOTTOM, marks, [(tick, _x(tick)) for tick in TICKS], LABEL, bottom)


def _mark(place: int, row: Row, column: Column) -> Mark:
    value, bounds = column.value(row), column.bounds(row)
    low, high = bounds if bounds else (None, None)
    interval = f" ({low:.1f} to {high:.1f})" if low is not None and high is not None else ""
    return Mark(
        name=row["row"],
        group=group(row),
        y=TOP + LINE * (place + 0.5),
        x=None if value is None else _x(value),
        low=None if low is None else _x(low),
        high=None if high is None else _x(high),
        text=f"{row['row']}: {column.text(row)}{interval}",
    )


def group(row: Row) -> str:
    """Which colour: base, plain or tuned."""
    if row.get("variant") == "base":
        return "base"
    return "tuned" if row.get("dpo_beta") is not None else "plain"


def _x(percent: float) -> float:
    return round(LABEL + (WIDTH - LABEL - 16) * percent / 100, 2)
