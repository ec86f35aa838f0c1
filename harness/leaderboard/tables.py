"""Rows → ``leaderboard.csv`` for programs and ``leaderboard.md`` for people."""

from __future__ import annotations

import csv
import io

from harness.leaderboard import display, fields
from harness.leaderboard.fields import Board, Row

PER_PART = ("n", "n_missing", "pass_rate", "pass_rate_low", "pass_rate_high", "win_rate", "lc_win_rate")
NOT_FLAT = ("by_split", "by_family", "stage_keys")


def to_csv(board: Board, rows: list[Row]) -> str:
    """Every figure of every row at full precision, parts as ``pass_rate@in``; empty where a row has none."""
    names = fields.parts(rows)
    flat = [key for key in fields.KEYS if key not in NOT_FLAT]
    header = flat + [f"{key}@{part.removeprefix(fields.ELSEWHERE)}" for part in names for key in PER_PART]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in fields.in_rank_order(board, rows):
        split = [fields.cell(row, part).get(key) for part in names for key in PER_PART]
        writer.writerow([_csv_cell(value) for value in [row.get(key) for key in flat] + split])
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a leading apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def to_markdown(board: Board, rows: list[Row]) -> str:
    """A GitHub table, best row first, with intervals; what a reader must know follows it."""
    metrics = [metric for metric in fields.shown_metrics(rows) if metric.key != "mean_score"]
    names = fields.parts(rows)
    main = fields.main_metric(board, rows)
    header = ["Rank", "Row", *(metric.label for metric in metrics)]
    header += [f"{_part_label(part)}" for part in names] + ["Length", "Truncated"]
    lines = [_line(header), _line(["--:", ":--", *["--:"] * (len(header) - 2)])]
    for row in fields.in_rank_order(board, rows):
        lines.append(_line(_markdown_row(row, [metric.key for metric in metrics], names, main)))
    title = f"# {_escape(str(board.get('title') or board.get('board') or 'Leaderboard'))}\n\n"
    return title + "\n".join(lines) + "\n\n" + _caption(board, rows, main, names)


def _markdown_row(row: Row, metrics: list[str], parts: list[str], main: str) -> list[str]:
    name = f"`{row['row']}`" if "`" not in row["row"] and "|" not in row["row"] else _escape(row["row"])
    if row.get("failed"):
        return ["", name, f"failed: {_escape(str(row['failed']))}", *[""] * (len(metrics) + len(parts) + 1)]
    cells = ["" if row.get("rank") is None else str(row["rank"]), name]
    for key in metrics:
        cells.append(_with_interval(row, key))
    cells += [display.rate(fields.cell(row, part).get(main)) for part in parts]
    return [*cells, display.whole(row.get("mean_length")), display.rate(row.get("truncation_rate"))]


def _with_interval(row: Row, key: str) -> str:
    span = display.interval(row.get(f"{key}_low"), row.get(f"{key}_high"))
    return display.rate(row.get(key)) + (f" [{span}]" if span else "")


def _caption(board: Board, rows: list[Row], main: str, parts: list[str]) -> str:
    metric = next(metric for metric in fields.METRICS if metric.key == main)
    points = [f"Rates are 0 to 100, with 95 % intervals. {metric.label}: {metric.explanation}."]
    if parts:
        points.append(f"{', '.join(_part_label(part) for part in parts)}: {metric.label.lower()} on that part.")
    if any(row.get("rank") is not None for row in rows):
        points.append("Rank is 1 + the number of rows that are significantly better; ties share a rank.")
    missing = {row["row"]: row["n_missing"] for row in rows if row.get("n_missing")}
    points += [f"{_escape(name)}: {count} verdicts are missing and left out." for name, count in missing.items()]
    return "\n".join(f"- {point}" for point in [*points, *(_escape(note) for note in board.get("notes") or [])]) + "\n"


def _part_label(part: str) -> str:
    return _escape(fields.part_label(part))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for character in "\\`*_[]<>|~":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
