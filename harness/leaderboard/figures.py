"""Figures for READMEs and papers: dot and interval per row, one panel per part. The same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaderboard.columns import PARTS, Column, parts_of

Row = dict[str, Any]
BASE, PLAIN, TUNED = "#6b7280", "#2563eb", "#d97706"


def write(board: dict[str, Any], rows: list[Row], folder: Path) -> None:
    """``pass_rate.svg`` and ``.png``, where there is a row to show."""
    shown = [row for row in rows if not row.get("failed")]
    if not shown:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "bridgebench", "font.size": 9, "svg.fonttype": "path"}):
        figure = _draw(board, shown, pyplot)
        figure.savefig(folder / "pass_rate.svg", metadata={"Date": None})
        figure.savefig(folder / "pass_rate.png", dpi=160, metadata={"Software": None})
        pyplot.close(figure)


def _draw(board: dict[str, Any], rows: list[Row], pyplot: Any) -> Any:
    panels = [
        (PARTS.get(part, part) + f" ({part})", Column("pass_rate", "", "", part, interval=True))
        for part in parts_of(rows)
    ]
    panels.append((f"win rate against {board['baseline']}", Column("win_rate", "", "", interval=True)))
    height = 1.1 + 0.28 * len(rows)
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(2.0 + 2.1 * len(panels), height), sharey=True, layout="constrained"
    )
    for axis, (title, column) in zip(axes, panels, strict=True):
        _panel(axis, rows, column)
        axis.set_title(title, fontsize=9)
    axes[0].set_yticks(range(len(rows)), [row["row"] for row in rows])
    axes[0].invert_yaxis()
    figure.supxlabel(
        "percent, with 95 % intervals (one training seed)" if _one_seed(board) else "percent, with 95 % intervals",
        fontsize=9,
    )
    return figure


def _panel(axis: Any, rows: list[Row], column: Column) -> None:
    for place, row in enumerate(rows):
        value, bounds = column.value(row), column.bounds(row)
        if value is None:
            continue
        if bounds:
            axis.plot(bounds, (place, place), color=colour(row), linewidth=2, solid_capstyle="round")
        axis.plot(value, place, "o", color=colour(row), markersize=5)
    axis.set_xlim(-2, 102)
    axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(left=False)


def colour(row: Row) -> str:
    """Grey for the base, blue for SFT alone, amber with a preference stage."""
    if row.get("variant") == "base":
        return BASE
    return TUNED if row.get("dpo_beta") is not None else PLAIN


def _one_seed(board: dict[str, Any]) -> bool:
    return len((board.get("recipe") or {}).get("seeds", [])) == 1
