"""What the index and the row pages have in common: a figure's cell, a link, a fact, the caveats."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from harness.leaderboard import display
from harness.leaderboard.fields import Board, Metric, Row

View = dict[str, Any]


def notes(board: Board, rows: list[Row]) -> list[str]:
    """The board's caveats, and what is missing from its rows."""
    found = [str(note) for note in board.get("notes") or []]
    for row in rows:
        if row["n_missing"]:
            total = row["n"] + row["n_missing"]
            found.append(f"{row['row']}: {row['n_missing']} of {total} verdicts are missing and left out.")
    return found


def described(board: Board) -> Board:
    """The board with a title, and null for what it does not say of itself."""
    said = dict.fromkeys(("description", "baseline", "recipe", "notes", "calibration", "claims_page")) | board
    return said | {"title": board.get("title") or board.get("board") or "Leaderboard"}


def link(name: str) -> str:
    """The address of a row's page, relative to ``index.html``."""
    return f"rows/{quote(display.file_stem(name))}.html"


def rate_cell(figures: Row, key: str) -> View:
    """A rate with its interval; ``why`` says why a length-controlled one is absent."""
    value = figures.get(key)
    why = figures.get("lc_reason") if key == "lc_win_rate" else None
    return {
        "text": display.rate(value),
        "interval": display.interval(figures.get(f"{key}_low"), figures.get(f"{key}_high")),
        "sort": sortable(value),
        "why": why if value is None else None,
    }


def bar_cell(figures: Row, metric: Metric) -> View:
    """`rate_cell` with the places of the dot and of its interval's ends on an axis of 0 to 100."""
    places = [figures.get(f"{metric.key}{end}") for end in ("", "_low", "_high")]
    value, low, high = (percent(place) for place in places)
    return rate_cell(figures, metric.key) | {"value": value, "low": low, "high": high}


def percent(value: float | None) -> str | None:
    """A position on the axis, which has a margin of 3 % on both sides so that dots at 0 and 100 are whole."""
    return None if value is None else f"{3 + 0.94 * value:.2f}%"


def plain_cell(text: str, value: float | None) -> View:
    """A figure without an interval."""
    return {"text": text, "interval": "", "sort": sortable(value), "why": None}


def sortable(value: float | None) -> str:
    """What the page sorts by: the full number, empty where there is none."""
    return "" if value is None else repr(float(value))


def fact(value: Any) -> str:
    """A value of the board's description in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {fact(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(fact(item) for item in value)
    return display.short(value)
