"""A board as one table in a text format: CSV, Markdown, JSON or LaTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from harness.board_evidence import Board
from harness.leaderboard import display, fields, tables

FORMATS = ("csv", "md", "json", "latex")
SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def render(board: Board, form: str) -> str:
    """The board's table in ``form``, one of `FORMATS`."""
    described = {key: value for key, value in board.data.items() if key != "rows"}
    rows = [fields.complete(row) for row in board.data["rows"]]
    makers: dict[str, Callable[[], str]] = {
        "csv": lambda: tables.to_csv(described, rows),
        "md": lambda: tables.to_markdown(described, rows),
        "json": lambda: json.dumps(board.data, indent=2, ensure_ascii=False) + "\n",
        "latex": lambda: latex(described, rows),
    }
    return makers[form]()


def latex(board: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """A booktabs table, best row first, intervals in brackets; what a reader must know is in the caption."""
    metrics = [metric for metric in fields.shown_metrics(rows) if metric.key != "mean_score"]
    done = [row for row in fields.in_rank_order(board, rows) if not row.get("failed")]
    lines = [
        "% \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\begin{{tabular}}{{rl{'r' * (len(metrics) + 1)}}}",
        "    \\toprule",
        "    " + " & ".join(["Rank", "Row", *(_escape(metric.label) for metric in metrics), "Length"]) + r" \\",
        "    \\midrule",
        *(f"    {_line(row, [metric.key for metric in metrics])}" for row in done),
        "    \\bottomrule",
        "  \\end{tabular}",
        f"  \\caption{{{_caption(board, rows)}}}",
        f"  \\label{{tab:{re.sub(r'[^A-Za-z0-9.+-]', '-', str(board.get('board')))}}}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any], metrics: list[str]) -> str:
    cells = ["" if row.get("rank") is None else str(row["rank"]), f"\\texttt{{{_escape(row['row'])}}}"]
    cells += [_with_interval(row, key) for key in metrics]
    return " & ".join([*cells, display.whole(row.get("mean_length"))]) + r" \\"


def _with_interval(row: dict[str, Any], key: str) -> str:
    span = display.interval(row.get(f"{key}_low"), row.get(f"{key}_high"))
    return display.rate(row.get(key)) + (f" [{span.replace('–', '--')}]" if span else "")


def _caption(board: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    main = next(metric for metric in fields.METRICS if metric.key == fields.main_metric(board, rows))
    counts = sorted({row["n"] for row in rows if row.get("n") is not None})
    prompts = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else ""
    said = [
        f"{board.get('title') or board.get('board')}.",
        f"Rates are 0 to 100 with 95 % intervals ({prompts}).",
        f"Rank is 1 + the number of rows significantly better in {main.label.lower()}; ties share a rank.",
        *(f"{row['row']} failed." for row in rows if row.get("failed")),
        *(f"{row['row']}: {row['n_missing']} verdicts are missing." for row in rows if row.get("n_missing")),
        *(str(note) for note in board.get("notes") or []),
    ]
    return _escape(" ".join(said))


def _escape(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
