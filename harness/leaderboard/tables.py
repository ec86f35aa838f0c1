"""The board as CSV and as a Markdown table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.leaderboard.columns import Column, columns_for, learning_rate

Row = dict[str, Any]
NESTED = ("by_split", "by_family", "stage_keys")


def as_csv(rows: list[Row]) -> str:
    """One line a row, every key; parts flattened as ``in_pass_rate`` and so on."""
    flat = []
    for row in rows:
        line = {key: value for key, value in row.items() if key not in NESTED}
        for part, values in (row.get("by_split") or {}).items():
            line |= {f"{part}_{key}": value for key, value in values.items()}
        flat.append(line)
    return pd.DataFrame(flat).to_csv(index=False, lineterminator="\n")


def as_markdown(board: dict[str, Any], rows: list[Row]) -> str:
    """A table that renders on code hosts, with intervals."""
    columns = columns_for(rows)
    heading = ["rank", "row", "lr", *(column.title.lower() for column in columns)]
    lines = [f"# {board['title']}", "", _line(heading), _line(["---"] * 3 + ["---:"] * len(columns))]
    lines += [_line([_rank(row), row["row"], learning_rate(row), *_cells(row, columns)]) for row in rows]
    lines += [
        "",
        f"Benchmark: {board['benchmark']}; judge: {board['judge']}; baseline: {board['baseline']}.",
        "",
    ]
    return "\n".join(lines + [f"- {note}" for note in board.get("notes", [])]) + "\n"


def _rank(row: Row) -> str:
    return str(row["rank"]) if row.get("rank") is not None else "–"


def _cells(row: Row, columns: list[Column]) -> list[str]:
    if row.get("failed"):
        return [f"failed: {row['failed']}", *[""] * (len(columns) - 1)]
    return [_with_interval(column, row) for column in columns]


def _with_interval(column: Column, row: Row) -> str:
    bounds = column.bounds(row)
    return column.text(row) + (f" ({bounds[0]:.1f}–{bounds[1]:.1f})" if bounds else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
