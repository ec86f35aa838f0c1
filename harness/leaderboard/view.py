"""All rows → what the index shows: tiles, charts, tables and facts, as plain values for the template."""

from __future__ import annotations

from harness.leaderboard import cells, charts, display, drifts, fields, groups, sweeps
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row


def index(board: Board, rows: list[Row], analyses: dict[str, Row]) -> View:
    """Everything ``index.html`` shows."""
    ordered = fields.in_rank_order(board, rows)
    references = fields.reference_rows(board)
    panels = _panels(ordered)
    metrics = fields.shown_metrics(ordered)
    return {
        "board": cells.described(board),
        "tiles": _tiles(board, ordered),
        "panels": panels,
        "charts": [_chart(board, ordered, metric, panels) for metric in metrics if metric.key != "mean_score"],
        "stages": [
            {"name": charts.stage_name(stage), "colour": number} for number, stage in enumerate(_stages(ordered))
        ],
        "plots": _plots(board, ordered, references, analyses),
        "matrices": charts.matrices(board, ordered),
        "tables": [_table(board, ordered, references, metrics, panel) for panel in panels],
        "filters": _filters(ordered),
        "references": _reference_tables(board),
        "metrics": metrics,
        "groups": groups.view(board, rows),
        "notes": cells.notes(board, ordered),
        "facts": facts(board, ordered),
    }


def _plots(board: Board, rows: list[Row], references: list[Row], analyses: dict[str, Row]) -> list[View]:
    length = charts.length_chart(board, rows, references)
    more = [*sweeps.views(board, rows), *drifts.views(board, rows, analyses.get("drift"))]
    return [length, *more] if length is not None else more


def _panels(rows: list[Row]) -> list[View]:
    whole = {"key": "all", "part": None, "label": "All", "meaning": "every prompt of the benchmark"}
    return [
        whole,
        *(
            {
                "key": f"p{number}",
                "part": part,
                "label": fields.part_label(part),
                "meaning": "another benchmark"
                if part.startswith(fields.ELSEWHERE)
                else fields.PARTS.get(part, ("", ""))[1],
            }
            for number, part in enumerate(fields.parts(rows))
        ),
    ]


def _stages(rows: list[Row]) -> list[str]:
    return fields.stage_order([row for row in rows if not row["failed"]])


def _tiles(board: Board, rows: list[Row]) -> list[View]:
    metric = next(metric for metric in fields.METRICS if metric.key == fields.main_metric(board, rows))
    found = []
    best = next((row for row in rows if row.get(metric.key) is not None), None)
    if best is not None:
        ties = sum(row.get("rank") == 1 for row in rows)
        shared = f"shares rank 1 with {ties - 1} more" if ties > 1 else "significantly ahead of every other row"
        found.append(_tile(best, metric, "Highest", shared if best.get("rank") == 1 else ""))
    baseline = next((row for row in rows if row["row"] == board.get("baseline")), None)
    if baseline is not None and baseline is not best and baseline.get(metric.key) is not None:
        found.append(_tile(baseline, metric, "Baseline", "what every row is compared with"))
    detectable = (board.get("comparison") or {}).get("smallest_detectable_difference")
    if detectable:
        found.append(
            {
                "label": "Smallest detectable difference",
                "value": f"{detectable['points']:.1f}",
                "unit": "points",
                "detail": f"between two rows, {detectable['n']} prompts, one test, 80\u00a0% power",
                "link": None,
                "name": None,
            }
        )
    return found


def _tile(row: Row, metric: Metric, label: str, detail: str) -> View:
    span = display.interval(row.get(f"{metric.key}_low"), row.get(f"{metric.key}_high"))
    return {
        "label": f"{label} {metric.label.lower()}",
        "value": display.rate(row[metric.key]),
        "unit": span,
        "detail": detail,
        "link": cells.link(row["row"]),
        "name": row["row"],
    }


def _chart(board: Board, rows: list[Row], metric: Metric, panels: list[View]) -> View:
    shown = [row for row in rows if not row["failed"]]
    shown.sort(key=lambda row: row[metric.key] is None or -row[metric.key])
    baseline = next((row for row in shown if row["row"] == board.get("baseline")), {})
    stages = _stages(rows)
    return {
        "metric": metric,
        "rows": [
            {
                "name": row["row"],
                "link": cells.link(row["row"]),
                "style": charts.stage_class(row, board, stages),
                "cells": [_chart_cell(row, baseline, metric.key, panel) for panel in panels],
            }
            for row in shown
        ],
    }


def _chart_cell(row: Row, baseline: Row, key: str, panel: View) -> View:
    figures = fields.cell(row, panel["part"])
    reference = fields.cell(baseline, panel["part"]).get(key) if baseline else None
    value = figures.get(key)
    return {
        "panel": panel,
        "value": cells.percent(value),
        "low": cells.percent(figures.get(f"{key}_low")),
        "high": cells.percent(figures.get(f"{key}_high")),
        "baseline": cells.percent(reference),
        "text": display.rate(value),
        "interval": display.interval(figures.get(f"{key}_low"), figures.get(f"{key}_high")),
        "why": figures.get("lc_reason") if key == "lc_win_rate" else None,
    }


SHOWN_REFERENCES = 12


def _filters(rows: list[Row]) -> list[View]:
    """Choices to narrow the table by; only those that tell rows apart."""
    stages = fields.stage_order([row for row in rows if row["preference_stage"]])
    found = [
        {"key": "variant", "label": "Variant", "values": [(name, name) for name in _distinct(rows, "variant")]},
        {"key": "stage", "label": "Stage", "values": [(stage, charts.stage_name(stage)) for stage in stages]},
    ]
    return [choice for choice in found if len(choice["values"]) > 1]


def _distinct(rows: list[Row], key: str) -> list[str]:
    return list(dict.fromkeys(str(row[key]) for row in rows if row[key] is not None))


def _reference_tables(board: Board) -> View:
    """Where the rows from elsewhere come from, and whether so many are shown before one asks."""
    tables = board.get("reference_tables") or []
    count = sum(len(table["rows"]) for table in tables)
    return {
        "count": count,
        "shown": count <= SHOWN_REFERENCES,
        "tables": [
            {"name": str(table["name"]), "source": str(table.get("source") or ""), "note": str(table.get("note") or "")}
            for table in tables
        ],
    }


def _table(board: Board, rows: list[Row], references: list[Row], metrics: list[Metric], panel: View) -> View:
    whole = panel["part"] is None
    stages = _stages(rows)
    columns = (
        [{"label": "Rank", "help": "1 + the number of rows significantly better; ties share a rank"}] if whole else []
    )
    columns.append({"label": "Row", "help": "a checkpoint and how it was trained"})
    columns += [{"label": metric.label, "help": metric.explanation} for metric in metrics]
    if whole:
        columns += [
            {"label": "Length", "help": "mean length of a completion in characters"},
            {"label": "Truncated", "help": "completions cut at the token limit, percent"},
            {"label": "Training", "help": "training time of the row's own stages"},
        ]
    lines = [_line(board, row, metrics, panel, stages) for row in rows]
    if whole:
        lines += [_reference_line(board, row, metrics, panel) for row in references]
    else:
        lines.sort(key=lambda line: line["failed"] is not None or -_first_value(line))
    return {"panel": panel, "columns": columns, "lines": lines, "whole": whole}


def _line(board: Board, row: Row, metrics: list[Metric], panel: View, stages: list[str]) -> View:
    figures = fields.cell(row, panel["part"])
    shown = [cells.rate_cell(figures, metric.key) for metric in metrics]
    if panel["part"] is None:
        shown += [
            cells.plain_cell(display.whole(row["mean_length"]), row["mean_length"]),
            cells.plain_cell(display.rate(row["truncation_rate"]), row["truncation_rate"]),
            cells.plain_cell(display.duration(row["train_seconds"]), row["train_seconds"]),
        ]
    return {
        "name": row["row"],
        "link": None if row["failed"] else cells.link(row["row"]),
        "settings": display.settings(row),
        "rank": row["rank"],
        "failed": row["failed"],
        "is_baseline": row["row"] == board.get("baseline"),
        "style": charts.stage_class(row, board, stages),
        "variant": str(row["variant"] or ""),
        "stage": fields.stage(row) if row["preference_stage"] else "",
        "reference": None,
        "cells": shown,
    }


def _reference_line(board: Board, row: Row, metrics: list[Metric], panel: View) -> View:
    """A row of another table: no rank, no page, its table's name beside it."""
    line = _line(board, row, metrics, panel, [])
    return line | {"link": None, "rank": None, "is_baseline": False, "style": "reference", "reference": row["table"]}


FACTS = (
    ("base", "Base model"),
    ("benchmark", "Benchmark"),
    ("judge", "Judge"),
    ("baseline", "Baseline row"),
    ("created", "Finished"),
    ("commit", "Commit"),
    ("commits", "Commits"),
    ("machine", "Machine"),
    ("versions", "Versions"),
)


def facts(board: Board, rows: list[Row]) -> list[View]:
    """Where the board comes from."""
    found = [{"label": label, "text": cells.fact(board[key])} for key, label in FACTS if board.get(key)]
    noted = next(
        (row["interval_note"] for row in rows if row["interval_note"] and row["row"] != board.get("baseline")),
        None,
    )
    if noted:
        found.append({"label": "Win-rate intervals", "text": f"95 %, {noted}"})
    comparison = board.get("comparison") or {}
    if comparison.get("note"):
        found.append(
            {
                "label": "Ranks",
                "text": f"by {comparison.get('metric', '').replace('_', ' ')}; {comparison['note']}",
            }
        )
    return found


def _first_value(line: Row) -> float:
    """What a line is sorted by; a board without any rate (ratings alone) keeps its order."""
    return float((line["cells"][0]["sort"] if line["cells"] else None) or -1)
