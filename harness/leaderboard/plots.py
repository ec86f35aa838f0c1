"""Plots that set a board's rates against something, for documents; each function gives a matplotlib figure.

Names of rows are a user's text: they are never read as mathematics.
"""

from __future__ import annotations

from typing import Any

from harness.leaderboard import display
from harness.leaderboard.theme import LIGHT

Points = list[dict[str, Any]]
STYLE = {"svg.hashsalt": "bridgebench", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
LINES = ("-", "--", ":", "-.")
STAGES = {None: "checkpoint", "none": "SFT only"}


def drift_against_rate(points: Points, label: str = "win rate") -> Any:
    """Points {row, stage, kl, kl_low, kl_high, rate, rate_low, rate_high}, rates 0 to 100: how far, and what for."""
    from matplotlib.lines import Line2D

    figure, axis = _single()
    stages = list(dict.fromkeys(point["stage"] for point in points))
    for point in points:
        x, y, shade = point["kl"], point["rate"], colour(stages.index(point["stage"]))
        axis.errorbar(x, y, xerr=_bars(x, point, "kl"), yerr=_bars(y, point, "rate"), fmt="o", color=shade, capsize=2)
        axis.annotate(
            point["row"],
            (x, y),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=7,
            color=LIGHT.muted,
            parse_math=False,
        )
    handles = [Line2D([], [], marker="o", linestyle="none", color=colour(number)) for number in range(len(stages))]
    _legend(figure, handles, [_stage_name(stage) for stage in stages])
    axis.set_xlabel("KL from the reference, nats per response", fontsize=9)
    axis.set_ylabel(f"{label}, %", fontsize=9, parse_math=False)
    return figure


def sweep_curves(points: Points, label: str = "win rate") -> Any:
    """Points {series, stage, learning_rate, value, low, high}: one panel per preference stage, one line per series."""
    stages = list(dict.fromkeys(point["stage"] for point in points))
    series = list(dict.fromkeys(point["series"] for point in points))
    rates = sorted({point["learning_rate"] for point in points})
    figure, axes = panels(len(stages), sharey=True)
    for axis, stage in zip(axes, stages, strict=False):
        for number, name in enumerate(series):
            line = sorted(
                (p for p in points if p["stage"] == stage and p["series"] == name), key=lambda p: p["learning_rate"]
            )
            if line:
                found = [{"estimate": p["value"], "low": p.get("low"), "high": p.get("high")} for p in line]
                band(axis, [p["learning_rate"] for p in line], found, number, name)
        axis.set_xscale("log")
        axis.set_xticks(rates, [display.short(rate) for rate in rates])
        axis.minorticks_off()
        axis.set_title(_stage_name(stage), fontsize=9, loc="left", parse_math=False)
    named = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    _legend(figure, list(named.values()), list(named))
    figure.supxlabel("SFT learning rate", fontsize=9)
    figure.supylabel(f"{label}, %", fontsize=9, parse_math=False)
    return figure


def _stage_name(stage: str | None) -> str:
    return STAGES.get(stage) or f"then {str(stage).upper()}"


def band(axis: Any, x: list[float], points: Points, number: int, label: str) -> None:
    """Line ``number`` through the points' estimates, its intervals as a band; points {estimate, low, high}."""
    style = LINES[number // len(LIGHT.dots) % len(LINES)]
    shade = colour(number)
    axis.plot(x, [p["estimate"] for p in points], style, color=shade, marker="o", markersize=3, label=label)
    known = [(at, p["low"], p["high"]) for at, p in zip(x, points, strict=True) if p["low"] is not None]
    if known:
        places, low, high = zip(*known, strict=True)
        axis.fill_between(places, low, high, color=shade, alpha=0.15, linewidth=0)


def _bars(value: float, point: dict[str, Any], name: str) -> list[list[float]] | None:
    low, high = point.get(f"{name}_low"), point.get(f"{name}_high")
    if low is None or high is None:
        return None
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _legend(figure: Any, handles: list[Any], names: list[str]) -> None:
    """Above the panels: a place that is sought among the data takes as long as there are data."""
    legend = figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def colour(number: int) -> str:
    """The colour of stage or line ``number``; there are four."""
    return LIGHT.dots[number % len(LIGHT.dots)]


def _single() -> tuple[Any, Any]:
    figure, axes = panels(1, width=5.2, height=3.8)
    return figure, axes[0]


def panels(count: int, width: float = 3.2, height: float = 2.4, **shared: Any) -> tuple[Any, list[Any]]:
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
