"""Plots of analyses from plain data; each function gives a matplotlib figure, `save` writes it as SVG and PNG.

Names of rows are a user's text: they are never read as mathematics, and SVG files are written by matplotlib, which
escapes them. The same data give the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.leaderboard.figures import LIGHT

Points = list[dict[str, Any]]
Data = dict[str, Any]
STYLE = {"svg.hashsalt": "bridgebench", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
STAGES = {None: "checkpoint", "none": "SFT only"}


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
    figure, axes = _panels(len(rows))
    for axis, (name, sides) in zip(axes, rows.items(), strict=False):
        for number, (side, points) in enumerate(sides.items()):
            _band(axis, [p["place"] for p in points], points, _colour(number), side)
        axis.axvline(0.5, color=LIGHT.baseline, linewidth=1, linestyle=(0, (3, 3)))
        axis.set_title(name, fontsize=9, loc="left", parse_math=False)
        axis.legend(frameon=False, fontsize=8)
    figure.supxlabel("states from the first differing token (dashed line)", fontsize=9)
    figure.supylabel("V = beta (lse l - lse l0)", fontsize=9, parse_math=False)
    return figure


def margin_distributions(rows: dict[str, list[float]]) -> Any:
    """Row → reward margins R(chosen) - R(rejected): one histogram per row, on one scale."""
    import numpy as np

    figure, axes = _panels(len(rows), sharex=True)
    everything = np.concatenate([np.asarray(each) for each in rows.values()])
    edges = np.histogram_bin_edges(everything, bins=30)
    for axis, (name, margins) in zip(axes, rows.items(), strict=False):
        values = np.asarray(margins)
        axis.hist(values, bins=edges, color=_colour(0), alpha=0.75)
        axis.axvline(0, color=LIGHT.text, linewidth=1)
        axis.axvline(values.mean(), color=_colour(2), linewidth=1.5)
        axis.set_title(f"{name} (mean {values.mean():.2f})", fontsize=9, loc="left", parse_math=False)
    figure.supxlabel("reward margin, chosen less rejected (line: mean)", fontsize=9)
    figure.supylabel("pairs", fontsize=9)
    return figure


def drift_against_rate(points: Points, label: str = "win rate") -> Any:
    """Points {row, stage, kl, kl_low, kl_high, rate, rate_low, rate_high}, rates 0 to 100: how far, and what for."""
    figure, axis = _single()
    stages = list(dict.fromkeys(point["stage"] for point in points))
    for point in points:
        colour = _colour(stages.index(point["stage"]))
        x, y = point["kl"], point["rate"]
        axis.errorbar(x, y, xerr=_bars(x, point, "kl"), yerr=_bars(y, point, "rate"), fmt="o", color=colour, capsize=2)
        axis.annotate(
            point["row"],
            (x, y),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7,
            color=LIGHT.muted,
            parse_math=False,
        )
    _legend(axis, stages)
    axis.set_xlabel("KL from the reference, nats per response", fontsize=9)
    axis.set_ylabel(f"{label}, %", fontsize=9, parse_math=False)
    return figure


def sweep_curves(points: Points, label: str = "win rate") -> Any:
    """Points {series, stage, learning_rate, value, low, high}: one panel per preference stage, one line per series."""
    stages = list(dict.fromkeys(point["stage"] for point in points))
    series = list(dict.fromkeys(point["series"] for point in points))
    figure, axes = _panels(len(stages), sharey=True)
    for axis, stage in zip(axes, stages, strict=False):
        for number, name in enumerate(series):
            line = sorted(
                (p for p in points if p["stage"] == stage and p["series"] == name), key=lambda p: p["learning_rate"]
            )
            if line:
                rates = [{"estimate": p["value"], "low": p.get("low"), "high": p.get("high")} for p in line]
                _band(axis, [p["learning_rate"] for p in line], rates, _colour(number), name)
        axis.set_xscale("log")
        axis.set_title(_stage_name(stage), fontsize=9, loc="left", parse_math=False)
    axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("SFT learning rate", fontsize=9)
    figure.supylabel(f"{label}, %", fontsize=9, parse_math=False)
    return figure


def _stage_name(stage: str | None) -> str:
    return STAGES.get(stage) or f"then {str(stage).upper()}"


def _band(axis: Any, x: list[float], points: Points, colour: str, label: str) -> None:
    axis.plot(x, [p["estimate"] for p in points], color=colour, marker="o", markersize=3, linewidth=1.5, label=label)
    known = [(at, p["low"], p["high"]) for at, p in zip(x, points, strict=True) if p["low"] is not None]
    if known:
        places, low, high = zip(*known, strict=True)
        axis.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


def _bars(value: float, point: Data, name: str) -> list[list[float]] | None:
    low, high = point.get(f"{name}_low"), point.get(f"{name}_high")
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _legend(axis: Any, stages: list[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], marker="o", linestyle="none", color=_colour(number)) for number in range(len(stages))]
    axis.legend(handles, [_stage_name(stage) for stage in stages], frameon=False, fontsize=8)


def _colour(number: int) -> str:
    return LIGHT.dots[number % len(LIGHT.dots)]


def _single() -> tuple[Any, Any]:
    figure, axes = _panels(1, width=5.2, height=3.8)
    return figure, axes[0]


def _panels(count: int, width: float = 3.2, height: float = 2.4, **shared: Any) -> tuple[Any, list[Any]]:
    """A figure with ``count`` panels, at most three abreast."""
    from matplotlib.figure import Figure

    across = min(3, count)
    down = -(-count // across)
    figure = Figure(
        figsize=(0.6 + width * across, 0.5 + height * down), facecolor=LIGHT.background, layout="constrained"
    )
    axes = list(figure.subplots(down, across, squeeze=False, **shared).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    for axis in axes[:count]:
        axis.tick_params(colors=LIGHT.muted, labelsize=8)
        axis.grid(color=LIGHT.grid, linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes
