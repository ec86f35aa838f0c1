"""Drift against the board's rates: how far each checkpoint went from its base, and what for.

The drift is a finished analysis' (docs/analysis.md), the rates are the board's own.
"""

from __future__ import annotations

from typing import Any

from harness.leaderboard import axes, charts, display, fields
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row

RATES = ("win_rate", "pass_rate")
WIDE = 30.0
"""From this ratio of the largest to the smallest drift on the axis is logarithmic."""


def metrics(rows: list[Row]) -> list[Metric]:
    """The rates that drift is set against: those the rows have."""
    return [metric for metric in fields.shown_metrics(rows) if metric.key in RATES]


def measured(analysis: Row | None, rows: list[Row], key: str) -> list[tuple[Row, Row]]:
    """(the board's row, its drift estimates) of every row that has both figures."""
    said = (analysis or {}).get("rows") or {}
    return [(row, said[row["row"]]) for row in rows if row["row"] in said and row.get(key) is not None]


def views(board: Board, rows: list[Row], analysis: Row | None) -> list[View]:
    """A chart per rate; none without the analysis."""
    found = [_view(board, rows, analysis, metric) for metric in metrics(rows)]
    return [chart for chart in found if chart is not None]


def _view(board: Board, rows: list[Row], analysis: Row | None, metric: Metric) -> View | None:
    pairs = measured(analysis, rows, metric.key)
    if analysis is None or len(pairs) < 2:
        return None
    drifts = [value for _, said in pairs for value in _ends(said["kl"])]
    log = min(drifts) > 0 and max(drifts) / min(drifts) > WIDE
    x = axes.across(drifts, log=log)
    y = axes.down(charts.ends([row for row, _ in pairs], metric.key), charts.HEIGHT, limits=charts.MEASURE)
    stages = fields.stage_order(rows)
    dots = [_dot(row, said["kl"], metric.key, x, y, charts.stage_class(row, board, stages)) for row, said in pairs]
    charts.label(dots)
    return {
        "id": f"drift-{metric.key}",
        "title": f"Drift against {metric.label[0].lower()}{metric.label[1:]}",
        "about": f"{metric.label} against the KL from {analysis['reference']}, nats per response of at most "
        f"{analysis['max_new_tokens']} tokens on the checkpoint's own samples, each with its interval "
        f"({analysis['stage']}).",
        **charts.frame(x, y, "KL, nats per response" + (" (logarithmic)" if log else ""), metric.label),
        "dots": dots,
        "head": ["Row", "KL", metric.label],
        "body": [[row["row"], estimate(said["kl"], 2), charts.with_interval(row, metric.key)] for row, said in pairs],
    }


def _ends(figures: Row) -> list[float]:
    return [figures[name] for name in ("estimate", "low", "high") if figures.get(name) is not None]


def _dot(row: Row, kl: Row, key: str, x: axes.Scale, y: axes.Scale, style: str) -> View:
    dot = charts.dot(row, key, x.at(kl["estimate"]), y, style)
    known = kl["low"] is not None and kl["low"] != kl["high"]
    ends = {"left": x.at(kl["low"]), "right": x.at(kl["high"])} if known else {}
    return dot | ends | {"text": f"KL {estimate(kl, 2)}, {dot['text']}"}


def estimate(figures: Row | None, digits: int) -> str:
    """``1.23 (1.10–1.36)``."""
    if figures is None or figures.get("estimate") is None:
        return display.NOTHING
    text = f"{figures['estimate']:.{digits}f}"
    if figures.get("low") is None or figures["low"] == figures["high"]:
        return text.replace("-", "−")
    return f"{text} ({figures['low']:.{digits}f} to {figures['high']:.{digits}f})".replace("-", "−")


def plotted(rows: list[Row], analysis: Row | None, key: str) -> list[dict[str, Any]]:
    """The rows as points of `plots.drift_against_rate`."""
    return [
        {
            "row": row["row"],
            "stage": fields.stage(row),
            **{"kl": said["kl"]["estimate"], "kl_low": said["kl"]["low"], "kl_high": said["kl"]["high"]},
            **{"rate": row[key], "rate_low": row.get(f"{key}_low"), "rate_high": row.get(f"{key}_high")},
        }
        for row, said in measured(analysis, rows, key)
    ]
