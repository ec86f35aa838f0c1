"""A board's plots for documents, the same bytes each time: dots with intervals, one panel per part of the benchmark
and one line per row; learning-rate sweeps; drift against rates.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.leaderboard import charts, drifts, fields, plots, sweeps
from harness.leaderboard.fields import Board, Metric, Row
from harness.leaderboard.theme import DARK, LIGHT, Theme


def write(board: Board, rows: list[Row], directory: Path, analyses: dict[str, Row]) -> None:
    """Write ``<metric>.svg``, ``<metric>.png`` and ``<metric>-dark.svg`` for each metric the rows have but
    the score; ``sweep-<metric>`` and ``drift-<metric>`` where there is a sweep or an analysis of drift.
    """
    import matplotlib

    shown = [row for row in fields.in_rank_order(board, rows) if not row.get("failed")]
    if not shown:
        return
    directory.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(plots.STYLE):
        for metric in fields.shown_metrics(rows):
            if metric.key != "mean_score":
                _save(draw(board, shown, metric, LIGHT), directory, metric.key)
        main = charts.ranking_metric(board, rows)
        if swept := sweeps.plotted(board, shown, main.key):
            _save(plots.sweep_curves(swept, main.label), directory, f"sweep-{main.key}")
        for metric in drifts.metrics(shown):
            if len(points := drifts.plotted(shown, analyses.get("drift"), metric.key)) > 1:
                _save(plots.drift_against_rate(points, metric.label), directory, f"drift-{metric.key}")


def _save(figure: Any, directory: Path, name: str) -> None:
    light = directory / f"{name}.svg"
    figure.savefig(light, metadata={"Date": None, "Creator": None})
    (directory / f"{name}-dark.svg").write_text(_darkened(light.read_text("utf-8")), "utf-8")
    figure.set_layout_engine("none")  # the layout is found; finding it is half the cost of a picture
    figure.savefig(directory / f"{name}.png", dpi=160, metadata={"Software": None})


def _darkened(svg: str) -> str:
    """The light figure in the dark theme's colours: drawing it again would cost as much as the first time."""
    dark = dict(zip(_colours(LIGHT), _colours(DARK), strict=True))
    return re.sub("|".join(dark), lambda found: dark[found[0]], svg)


def _colours(theme: Theme) -> list[str]:
    return [theme.background, theme.text, theme.muted, theme.grid, theme.baseline, *theme.dots]


def draw(board: Board, rows: list[Row], metric: Metric, theme: Theme) -> Any:
    """One figure; panels: all prompts, then each part."""
    from matplotlib.figure import Figure

    panels: list[str | None] = [None, *fields.parts(rows)]
    height = 1.25 + 0.3 * len(rows)
    figure = Figure(figsize=(2.1 + 2.2 * len(panels), height), facecolor=theme.background, layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, part in zip(axes, panels, strict=True):
        _draw_panel(axis, board, rows, metric, part, theme)
    axes[0].set_yticks(range(len(rows)), [row["row"] for row in rows], color=theme.text, fontsize=9, parse_math=False)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    _add_legend(figure, board, rows, theme)
    figure.supxlabel(
        f"{metric.label}, 95 % interval; dashed: {board.get('baseline') or 'baseline'}",
        fontsize=9,
        color=theme.muted,
        parse_math=False,
    )
    return figure


def _draw_panel(axis: Any, board: Board, rows: list[Row], metric: Metric, part: str | None, theme: Theme) -> None:
    axis.set_facecolor(theme.background)
    label = "All prompts" if part is None else fields.part_label(part)
    axis.set_title(label, fontsize=10, color=theme.text, loc="left", parse_math=False)
    axis.set_xlim(-2, 102)
    axis.set_xticks([0, 50, 100])
    axis.tick_params(colors=theme.muted, labelsize=8, length=0)
    axis.grid(axis="x", color=theme.grid, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in axis.spines.values():
        side.set_visible(False)
    stages = fields.stage_order(rows)
    for position, row in enumerate(rows):
        figures = fields.cell(row, part)
        is_baseline = row["row"] == board.get("baseline")
        colour = theme.baseline if is_baseline else theme.dots[stages.index(fields.stage(row)) % len(theme.dots)]
        _draw_dot(axis, figures, metric.key, position, colour)
        if is_baseline and figures.get(metric.key) is not None:
            axis.axvline(figures[metric.key], color=theme.baseline, linewidth=1, linestyle=(0, (3, 3)), zorder=1)


def _draw_dot(axis: Any, figures: Row, key: str, position: int, colour: str) -> None:
    value, low, high = (figures.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return
    if low is not None and high is not None:
        axis.plot([low, high], [position, position], color=colour, linewidth=2, alpha=0.55, solid_capstyle="round")
    axis.plot([value], [position], marker="o", markersize=6, color=colour, linestyle="none", zorder=3)


def _add_legend(figure: Any, board: Board, rows: list[Row], theme: Theme) -> None:
    """Which colour is which preference stage, above the panels; left out where all rows have the same."""
    from matplotlib.lines import Line2D

    stages = fields.stage_order([row for row in rows if row["row"] != board.get("baseline")])
    if len(stages) < 2:
        return
    handles = [
        Line2D([], [], marker="o", linestyle="none", markersize=6, color=theme.dots[number % len(theme.dots)])
        for number in range(len(stages))
    ]
    names = ["SFT only" if stage == "none" else f"then {stage.upper()}" for stage in stages]
    figure.legend(
        handles,
        names,
        loc="outside upper right",
        ncols=len(stages),
        frameon=False,
        fontsize=9,
        labelcolor=theme.text,
    )
