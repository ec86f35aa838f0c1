"""The static site: ``index.html`` and a page of completions per row. Self-contained; everything from a model is
escaped.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2

from harness import files
from harness.leaderboard import chart
from harness.leaderboard.columns import PARTS, Column, columns_for, learning_rate, parts_of

Row = dict[str, Any]


def write(board: dict[str, Any], rows: list[Row], samples: dict[str, list[Row]], folder: Path) -> None:
    """Render all pages into ``folder``."""
    environment = _environment()
    pages = {row["row"]: page_name(row["row"]) for row in rows if row["row"] in samples}
    columns = columns_for(rows)
    files.write_text(
        folder / "index.html",
        environment.get_template("index.html").render(
            board=board, rows=rows, columns=columns, pages=pages, charts=_charts(board, rows), parts=PARTS
        ),
    )
    template = environment.get_template("row.html")
    for row in rows:
        if row["row"] in pages:
            text = template.render(board=board, row=row, columns=columns, samples=samples[row["row"]])
            files.write_text(folder / "rows" / pages[row["row"]], text)


def page_name(row: str) -> str:
    """A file name for a row: harmless characters, and a digest where that lost something."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", row).strip(".-") or "row"
    suffix = "" if safe == row else "-" + hashlib.sha256(row.encode()).hexdigest()[:6]
    return f"{safe}{suffix}.html"


def _charts(board: dict[str, Any], rows: list[Row]) -> list[chart.Chart]:
    shown = [row for row in rows if not row.get("failed")]
    charts = [
        chart.make(f"Pass rate, {PARTS.get(part, part)}", shown, Column("pass_rate", "", "", part, interval=True))
        for part in parts_of(shown)
    ]
    title = f"Win rate against {board['baseline']}, all prompts"
    return [*charts, chart.make(title, shown, Column("win_rate", "", "", interval=True))]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.globals["learning_rate"] = learning_rate
    return environment


INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def visible(text: str) -> str:
    """Control characters and direction marks as ``\\u202e``: a completion must not rearrange the page around it."""
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
