"""Plots of one analysis from plain data; each function gives a matplotlib figure, `save` writes it as SVG and PNG.

Names of rows are a user's text: they are never read as mathematics, and SVG files are written by matplotlib, which
escapes them. The same data give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaderboard.plots import STYLE, band, colour, panels
from harness.leaderboard.theme import LIGHT

Points = list[dict[str, Any]]


def save(figure: Any, directory: Path, name: str) -> list[Path]:
    """Write ``name.svg`` and ``name.png`` (160 dots an inch)."""
    import matplotlib

    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.svg", directory / f"{name}.png"]
    with matplotlib.rc_context(STYLE):
        figure.savefig(paths[0], metadata={"Date": None, "Creator": None})
        figure.savefig(paths[1], dpi=160, metadata={"Software": None})
    return paths


def value_trajectories(rows: dict[str, dict[str, Points]]) -> Any:
    """Row → ``{"good": points, "corrupted": points}`` of {place, estimate, low, high}: one panel per row."""
    figure, axes = panels(len(rows))
    for axis, (name, sides) in zip(axes, rows.items(), strict=False):
        for number, (side, points) in enumerate(sides.items()):
            band(axis, [p["place"] for p in points], points, number, side)
        axis.axvline(0.5, color=LIGHT.baseline, linewidth=1, linestyle=(0, (3, 3)))
        axis.set_title(name, fontsize=9, loc="left", parse_math=False)
        axis.legend(loc="upper left", frameon=False, fontsize=8)
    figure.supxlabel("states from the first differing token (dashed line)", fontsize=9)
    figure.supylabel("V = beta (lse l - lse l0)", fontsize=9, parse_math=False)
    return figure


def margin_distributions(margins: dict[str, Any], means: dict[str, float]) -> Any:
    """``{"edges", "counts": {row: [...]}}`` of reward margins R(chosen) - R(rejected): one histogram per row."""
    figure, axes = panels(len(means), sharex=True)
    for axis, (name, mean) in zip(axes, means.items(), strict=False):
        axis.stairs(margins["counts"][name], margins["edges"], color=colour(0), alpha=0.75, fill=True)
        axis.axvline(0, color=LIGHT.text, linewidth=1)
        axis.axvline(mean, color=colour(2), linewidth=1.5)
        axis.set_title(f"{name} (mean {mean:.2f})", fontsize=9, loc="left", parse_math=False)
    figure.supxlabel("reward margin, chosen less rejected (line: mean)", fontsize=9)
    figure.supylabel("pairs", fontsize=9)
    return figure
