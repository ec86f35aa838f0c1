"""Rows → the charts of the index beside the dots: win rate against length and the win matrix; what other charts share.

Each is plain values for the template, and has the figures behind it as a table.
"""

from __future__ import annotations

from harness.leaderboard import axes, cells, display, fields
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row

HEIGHT = 250.0
MEASURE = (0.0, 100.0)


def stage_class(row: Row, board: Board, stages: list[str]) -> str:
    """The colour of a row: its preference stage's, or the baseline's."""
    if row["row"] == board.get("baseline"):
        return "baseline"
    stage = fields.stage(row)
    return f"s{stages.index(stage) % 4}" if stage in stages else "s0"


def length_chart(board: Board, rows: list[Row], references: list[Row]) -> View | None:
    """Win rate (else the ranking metric) against mean length, rows of other tables hollow; None below two rows."""
    metric = _of_length(board, rows)
    shown = [row for row in rows if _has(row, metric.key)]
    beside = [row for row in references if _has(row, metric.key)]
    if len(shown) < 2:
        return None
    everything = shown + beside
    x = axes.across(row["mean_length"] for row in everything)
    y = axes.down(ends(everything, metric.key), HEIGHT, limits=MEASURE)
    stages = fields.stage_order(shown)
    dots = [dot(row, metric.key, x.at(row["mean_length"]), y, "reference hollow", linked=False) for row in beside]
    dots += [dot(row, metric.key, x.at(row["mean_length"]), y, stage_class(row, board, stages)) for row in shown]
    label(dots)
    return {
        "id": "length",
        "title": f"{metric.label} against length",
        "about": f"{metric.label} with its interval against the mean length of a completion in characters.",
        **frame(x, y, "mean length, characters", metric.label),
        "dots": dots,
        "head": ["Row", "Mean length", metric.label],
        "body": [[row["row"], display.whole(row["mean_length"]), with_interval(row, metric.key)] for row in everything],
    }


def _of_length(board: Board, rows: list[Row]) -> Metric:
    keys = {metric.key: metric for metric in fields.shown_metrics(rows)}
    return keys.get("win_rate") or keys.get(fields.main_metric(board, rows)) or fields.METRICS[0]


def _has(row: Row, key: str) -> bool:
    return not row.get("failed") and row.get(key) is not None and row.get("mean_length") is not None


def ranking_metric(board: Board, rows: list[Row]) -> Metric:
    """The metric that ranks the board."""
    key = fields.main_metric(board, rows)
    return next(metric for metric in fields.METRICS if metric.key == key)


def stage_name(stage: str) -> str:
    """A preference stage for people."""
    return "SFT only" if stage == "none" else f"then {stage.upper()}"


def ends(rows: list[Row], key: str) -> list[float]:
    """Every figure of ``key`` and both ends of its intervals."""
    names = (key, f"{key}_low", f"{key}_high")
    return [row[name] for row in rows for name in names if row.get(name) is not None]


def frame(x: axes.Scale, y: axes.Scale, across: str, down: str, height: float = HEIGHT) -> View:
    """What every chart of the template has, empty where one has no use for it.

    ``bands`` are filled paths, ``lines`` curves, ``dots`` see `dot`; ``baseline`` is a level across, ``rule`` a place
    of a line upwards; without a ``legend`` the colours are the preference stages'.
    """
    return {
        "height": height,
        "xticks": axes.x_ticks(x),
        "yticks": axes.y_ticks(y),
        "xlabel": across,
        "ylabel": down,
        **{"baseline": None, "rule": None, "legend": None, "bands": [], "lines": [], "dots": []},
    }


def dot(row: Row, key: str, x: float, y: axes.Scale, style: str, *, linked: bool = True) -> View:
    """A row's dot at ``x`` percent with its interval upwards; ``left`` and ``right`` would be one across."""
    low, high = (row.get(f"{key}_{end}") for end in ("low", "high"))
    return {
        "x": x,
        "y": y.at(row[key]),
        "low": None if low is None or high is None or low == high else y.at(low),
        "high": None if low is None or high is None else y.at(high),
        "left": None,
        "right": None,
        "style": style,
        "link": cells.link(row["row"]) if linked else None,
        "name": row["row"],
        "text": with_interval(row, key) + ("" if linked else ", not measured here"),
        "label": None,
    }


def label(dots: list[View], width: float = 520) -> None:
    """Names beside the dots, on the side with room, left out where one would cover another."""
    taken: list[tuple[float, float, float]] = []
    for dot in sorted(dots, key=lambda item: item["link"] is None):
        size = 100 * 6.2 * len(dot["name"]) / width
        left = dot["x"] + 2 + size > 100
        start = dot["x"] - 2 - size if left else dot["x"] + 2
        box = (start, start + size, dot["y"])
        near = [other for other in dots if other is not dot and abs(other["y"] - dot["y"]) < 8]
        covered = any(box[0] - 1 < other["x"] < box[1] + 1 for other in near)
        clash = any(box[0] < end and begin < box[1] and abs(box[2] - at) < 12 for begin, end, at in taken)
        if start >= 0 and not covered and not clash:
            taken.append(box)
            dot["label"] = "end" if left else "start"


def with_interval(row: Row, key: str) -> str:
    """A rate and its interval in words."""
    span = display.interval(row.get(f"{key}_low"), row.get(f"{key}_high"))
    return display.rate(row[key]) + (f" ({span})" if span else "")


def matrices(board: Board, rows: list[Row]) -> list[View]:
    """A win matrix per benchmark, the primary one first; none where nothing was compared."""
    named = board.get("comparisons") or {"": board.get("comparison") or {}}
    found = [_matrix(name, comparison, rows) for name, comparison in named.items()]
    return [matrix for matrix in found if matrix is not None]


def _matrix(benchmark: str, comparison: Row, rows: list[Row]) -> View | None:
    """Every pair of rows: the row's lead over the column's in points, and whether it is significant after Holm."""
    pairs = {(pair["a"], pair["b"]): pair for pair in comparison.get("pairs") or []}
    names = [row["row"] for row in rows if any(row["row"] in pair for pair in pairs)]
    if len(names) < 2:
        return None
    largest = max((abs(pair["difference"]) for pair in pairs.values() if pair["difference"] is not None), default=0)
    return {
        "benchmark": benchmark,
        "metric": str(comparison.get("metric") or "").replace("_", " "),
        "alpha": comparison.get("alpha"),
        "names": [{"name": name, "link": cells.link(name)} for name in names],
        "lines": [
            {
                "name": name,
                "link": cells.link(name),
                "cells": [_matrix_cell(name, other, pairs, largest) for other in names],
            }
            for name in names
        ],
    }


def _matrix_cell(name: str, other: str, pairs: dict[tuple[str, str], Row], largest: float) -> View:
    sign, pair = (1, pairs[name, other]) if (name, other) in pairs else (-1, pairs.get((other, name)))
    if pair is None or pair["difference"] is None:
        return {"text": "" if name == other else display.NOTHING, "style": "none", "title": "", "significant": False}
    lead = sign * pair["difference"]
    strength = round(4 * abs(lead) / largest) if largest else 0
    side = "up" if lead > 0 else "down"
    return {
        "text": display.signed(lead),
        "style": f"{side}{strength}" if strength else "none",
        "title": f"{name} against {other}: {display.signed(lead)} points, p {display.p_value(pair['p_holm'])} (Holm)",
        "significant": bool(pair["significant"]),
    }
