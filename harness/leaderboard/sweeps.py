"""Learning-rate sweeps of a board: curves before and after the preference stage, for the site and for documents.

A curve joins recipe cells that differ in the learning rate of the supervised stage alone. Where a board has several
seeds its points are the cells' estimates over seeds, with their intervals; otherwise they are the checkpoints'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.leaderboard import axes, cells, charts, display, fields
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row

_SWEPT = ("objective", "divergence", "form", "beta", "curvature", "weight_dtype", "preference_stage", "dpo_beta")


@dataclass(frozen=True)
class Curve:
    """Rows or groups in the order of their learning rates, which are two at least."""

    stage: str
    name: str
    points: list[Row]


def curves(board: Board, rows: list[Row], key: str) -> list[Curve]:
    """The board's curves of the metric ``key``, those before the preference stage first."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for entry in board.get("groups") or rows:
        if entry.get("learning_rate") and entry.get(key) is not None:
            found.setdefault(tuple(str(entry.get(name)) for name in _SWEPT), []).append(entry)
    swept = [sorted(each, key=lambda entry: entry["learning_rate"]) for each in found.values()]
    swept = [each for each in swept if len({entry["learning_rate"] for entry in each}) > 1]
    stages = fields.stage_order([each[0] for each in swept])
    swept.sort(key=lambda each: stages.index(fields.stage(each[0])))
    return _named(swept)


def _named(swept: list[list[Row]]) -> list[Curve]:
    made: list[Curve] = []
    for points in swept:
        stage = fields.stage(points[0])
        taken = [curve.name for curve in made if curve.stage == stage]
        made.append(Curve(stage, _curve_name(points[0], taken), points))
    return made


def _curve_name(row: Row, taken: Iterable[str]) -> str:
    left_out = ("lr ", "then ")
    parts = [part for part in display.settings(row).split(" · ") if not part.startswith(left_out)]
    name = " · ".join(parts) or _name(row)
    return name if name not in taken else f"{name} ({_name(row)})"


def _name(entry: Row) -> str:
    return str(entry.get("group") or entry["row"])


def views(board: Board, rows: list[Row]) -> list[View]:
    """A chart per preference stage, all on one scale; none without a curve."""
    metric = charts.ranking_metric(board, rows)
    found = curves(board, rows, metric.key)
    if not found:
        return []
    points = [point for curve in found for point in curve.points]
    x = axes.across((point["learning_rate"] for point in points), log=True, margin=0.12)
    baseline = [row[metric.key] for row in rows if row["row"] == board.get("baseline")]
    known = [value for value in baseline if value is not None]
    y = axes.down(charts.ends(points, metric.key) + known, charts.HEIGHT, limits=charts.MEASURE)
    level = y.at(known[0]) if known else None
    series = list(dict.fromkeys(curve.name for curve in found))
    stages = list(dict.fromkeys(curve.stage for curve in found))
    return [
        _view(stage, [curve for curve in found if curve.stage == stage], series, metric, x, y)
        | {"baseline": level, "about": _about(board, metric)}
        for stage in stages
    ]


def _about(board: Board, metric: Metric) -> str:
    over = "over training seeds" if board.get("groups") else "of each checkpoint"
    return (
        f"{metric.label} {over} with its interval against the learning rate of the supervised stage; a line joins what "
        "differs in nothing else."
    )


def _view(stage: str, found: list[Curve], series: list[str], metric: Metric, x: axes.Scale, y: axes.Scale) -> View:
    title = f"Learning-rate sweep, {charts.stage_name(stage)}"
    lines, dots, legend = [], [], []
    for curve in found:
        number = series.index(curve.name)  # the same setting looks the same before and after
        style, dash = f"s{number % 4}", number // 4 % 4
        lines.append({"d": axes.path(_means(curve.points, metric.key), x, y), "style": style, "dash": dash})
        dots += [_dot(point, metric.key, x, y, style) for point in curve.points]
        legend.append({"name": curve.name, "style": style, "dash": dash})
    return {
        "id": f"sweep-{display.file_stem(stage)}",
        "title": title,
        **charts.frame(x, y, "learning rate", metric.label),
        "lines": lines,
        "dots": dots,
        "legend": legend,
        "head": ["Curve", "Learning rate", "Cell", metric.label],
        "body": [
            [curve.name, display.short(point["learning_rate"]), _name(point), charts.with_interval(point, metric.key)]
            for curve in found
            for point in curve.points
        ],
    }


def _dot(point: Row, key: str, x: axes.Scale, y: axes.Scale, style: str) -> View:
    dot = charts.dot(point | {"row": _name(point)}, key, x.at(point["learning_rate"]), y, style)
    return dot | {"link": None if point.get("group") else cells.link(point["row"])}


def _means(points: list[Row], key: str) -> list[tuple[float, float]]:
    """(learning rate, mean over its rows): of checkpoints several may share a learning rate."""
    rates = sorted({point["learning_rate"] for point in points})
    values = [[point[key] for point in points if point["learning_rate"] == rate] for rate in rates]
    return [(rate, sum(found) / len(found)) for rate, found in zip(rates, values, strict=True)]


def plotted(board: Board, rows: list[Row], key: str) -> list[dict[str, Any]]:
    """The curves as points of `plots.sweep_curves`."""
    return [
        {
            "series": curve.name,
            "stage": curve.stage,
            "learning_rate": point["learning_rate"],
            "value": point[key],
            "low": point.get(f"{key}_low"),
            "high": point.get(f"{key}_high"),
        }
        for curve in curves(board, rows, key)
        for point in curve.points
    ]
