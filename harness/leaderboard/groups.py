"""Recipe cells over their training seeds, as the index and the Markdown table show them."""

from __future__ import annotations

from harness.leaderboard import cells, display, fields
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row
from harness.stats.crossed import COVERAGE


def view(board: Board, rows: list[Row]) -> View | None:
    """A table of recipe cells, best first, with their checkpoints; None for a board with one seed."""
    if not board.get("groups"):
        return None
    metrics = _metrics(board, rows)
    parts = fields.parts(board["groups"])
    main = fields.main_metric(board, rows)
    by_name = {row["row"]: row for row in rows}
    return {
        "columns": [*(metric.label for metric in metrics), *(fields.part_label(part) for part in parts)],
        "lines": [_line(group, metrics, parts, main, by_name) for group in _in_order(board, main)],
        "note": note(board),
    }


def note(board: Board) -> str:
    """What the intervals and ranks of the table mean."""
    pairs = len((board.get("group_comparison") or {}).get("pairs") or [])
    return (
        f"Intervals are for new training seeds and new instructions (two-way random effects; {COVERAGE}). Rank is 1 + "
        f"the number of recipes that are significantly better over seeds and instructions, Holm over {pairs} pairs."
    )


def _metrics(board: Board, rows: list[Row]) -> list[Metric]:
    return [m for m in fields.shown_metrics(rows) if any(group.get(m.key) is not None for group in board["groups"])]


def _in_order(board: Board, main: str) -> list[Row]:
    def place(group: Row) -> tuple[bool, float, float]:
        value = group.get(main)
        return value is None, group.get("rank") or float("inf"), -(value or 0.0)

    return sorted(board["groups"], key=place)


def _line(group: Row, metrics: list[Metric], parts: list[str], main: str, by_name: dict[str, Row]) -> View:
    return {
        "name": group["group"],
        "settings": display.settings(group),
        "rank": group.get("rank"),
        "seeds": _seeds(group),
        "cells": [cells.rate_cell(group, metric.key) for metric in metrics]
        + [cells.rate_cell(fields.cell(group, part), main) for part in parts],
        "members": [_member(by_name[name], main) for name in group["rows"] if name in by_name],
        "note": group.get("interval_note") or "",
    }


def _seeds(group: Row) -> str:
    if not group["seeds"]:
        return "not trained"
    lost = len(group["seeds"]) - group["n_seeds"]
    return str(group["n_seeds"]) + (f" of {len(group['seeds'])}" if lost else "")


def _member(row: Row, main: str) -> View:
    return {
        "name": row["row"],
        "link": None if row["failed"] else cells.link(row["row"]),
        "text": f"failed: {row['failed']}" if row["failed"] else display.rate(row.get(main)),
        "interval": display.interval(row.get(f"{main}_low"), row.get(f"{main}_high")),
    }


def to_markdown(board: Board, rows: list[Row]) -> str:
    """The table for a document; empty for a board with one seed."""
    shown = view(board, rows)
    if shown is None:
        return ""
    lines = [
        _row(["Rank", "Recipe", "Seeds", *shown["columns"]]),
        _row(["--:", ":--", *["--:"] * (len(shown["columns"]) + 1)]),
    ]
    for line in shown["lines"]:
        figures = [cell["text"] + (f" [{cell['interval']}]" if cell["interval"] else "") for cell in line["cells"]]
        lines.append(_row([str(line["rank"] or ""), f"`{line['name']}`", line["seeds"], *figures]))
    return "\n## Recipes over training seeds\n\n" + "\n".join(lines) + f"\n\n- {shown['note']}\n"


def _row(values: list[str]) -> str:
    return f"| {' | '.join(values)} |"
