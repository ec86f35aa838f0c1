"""Rows → what the pages show: cells, charts, facts and comparisons, as plain values for the templates."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from harness.leaderboard import display, fields
from harness.leaderboard.fields import Board, Metric, Row

View = dict[str, Any]


def index(board: Board, rows: list[Row]) -> View:
    """Everything ``index.html`` shows."""
    ordered = fields.in_rank_order(board, rows)
    panels = _panels(ordered)
    metrics = fields.shown_metrics(ordered)
    return {
        "board": _described(board),
        "tiles": _tiles(board, ordered),
        "panels": panels,
        "charts": [_chart(board, ordered, metric, panels) for metric in metrics if metric.key != "mean_score"],
        "stages": [{"name": stage, "colour": number} for number, stage in enumerate(_stages(ordered))],
        "tables": [_table(board, ordered, metrics, panel) for panel in panels],
        "metrics": metrics,
        "notes": notes(board, ordered),
        "facts": facts(board, ordered),
        "failed": [row for row in ordered if row["failed"]],
    }


def row_page(board: Board, rows: list[Row], row: Row) -> View:
    """Everything a row's page shows but its samples."""
    metrics = fields.shown_metrics(rows)
    return {
        "board": _described(board),
        "row": row,
        "settings": display.settings(row),
        "figures": [
            {
                "label": "All prompts" if part is None else part_label(part),
                "n": fields.cell(row, part).get("n"),
                "n_missing": fields.cell(row, part).get("n_missing"),
                "cells": [_rate_cell(fields.cell(row, part), metric.key) for metric in metrics],
            }
            for part in [None, *fields.parts([row])]
        ],
        "metrics": metrics,
        "families": _families(row),
        "comparisons": _comparisons(board, row["row"]),
        "facts": _row_facts(row),
        "notes": notes(board, rows),
    }


def notes(board: Board, rows: list[Row]) -> list[str]:
    """The board's caveats, and what is missing from its rows."""
    found = [str(note) for note in board.get("notes") or []]
    for row in rows:
        if row["n_missing"]:
            total = row["n"] + row["n_missing"]
            found.append(f"{row['row']}: {row['n_missing']} of {total} verdicts are missing and left out.")
    return found


def _described(board: Board) -> Board:
    """The board with a title, and null for what it does not say of itself."""
    said = dict.fromkeys(("description", "baseline", "recipe", "notes")) | board
    return said | {"title": board.get("title") or board.get("board") or "Leaderboard"}


def part_label(part: str) -> str:
    """A part's name as a heading."""
    return fields.PARTS[part][0] if part in fields.PARTS else part


def link(name: str) -> str:
    """The address of a row's page, relative to ``index.html``."""
    return f"rows/{quote(display.file_stem(name))}.html"


def _panels(rows: list[Row]) -> list[View]:
    whole = {"key": "all", "part": None, "label": "All", "meaning": "every prompt of the benchmark"}
    return [
        whole,
        *(
            {
                "key": f"p{number}",
                "part": part,
                "label": part_label(part),
                "meaning": fields.PARTS.get(part, ("", ""))[1],
            }
            for number, part in enumerate(fields.parts(rows))
        ),
    ]


def _stages(rows: list[Row]) -> list[str]:
    return fields.stage_order([row for row in rows if not row["failed"]])


def _stage_class(row: Row, board: Board, stages: list[str]) -> str:
    if row["row"] == board.get("baseline"):
        return "baseline"
    stage = fields.stage(row)
    return f"s{stages.index(stage) % 4}" if stage in stages else "s0"


# --- tiles ---------------------------------------------------------------------------------------


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
        "link": link(row["row"]),
        "name": row["row"],
    }


# --- chart ---------------------------------------------------------------------------------------


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
                "link": link(row["row"]),
                "style": _stage_class(row, board, stages),
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
        "value": _percent(value),
        "low": _percent(figures.get(f"{key}_low")),
        "high": _percent(figures.get(f"{key}_high")),
        "baseline": _percent(reference),
        "text": display.rate(value),
        "interval": display.interval(figures.get(f"{key}_low"), figures.get(f"{key}_high")),
        "why": figures.get("lc_reason") if key == "lc_win_rate" else None,
    }


def _percent(value: float | None) -> str | None:
    """A position on the axis, which has a margin of 3 % on both sides so that dots at 0 and 100 are whole."""
    return None if value is None else f"{3 + 0.94 * value:.2f}%"


# --- table ---------------------------------------------------------------------------------------


def _table(board: Board, rows: list[Row], metrics: list[Metric], panel: View) -> View:
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
    if not whole:
        lines.sort(key=lambda line: line["failed"] is not None or -float(line["cells"][0]["sort"] or -1))
    return {"panel": panel, "columns": columns, "lines": lines, "whole": whole}


def _line(board: Board, row: Row, metrics: list[Metric], panel: View, stages: list[str]) -> View:
    figures = fields.cell(row, panel["part"])
    cells = [_rate_cell(figures, metric.key) for metric in metrics]
    if panel["part"] is None:
        cells += [
            _plain_cell(display.whole(row["mean_length"]), row["mean_length"]),
            _plain_cell(display.rate(row["truncation_rate"]), row["truncation_rate"]),
            _plain_cell(display.duration(row["train_seconds"]), row["train_seconds"]),
        ]
    return {
        "name": row["row"],
        "link": None if row["failed"] else link(row["row"]),
        "settings": display.settings(row),
        "rank": row["rank"],
        "failed": row["failed"],
        "is_baseline": row["row"] == board.get("baseline"),
        "style": _stage_class(row, board, stages),
        "cells": cells,
    }


def _rate_cell(figures: Row, key: str) -> View:
    value = figures.get(key)
    why = figures.get("lc_reason") if key == "lc_win_rate" else None
    return {
        "text": display.rate(value),
        "interval": display.interval(figures.get(f"{key}_low"), figures.get(f"{key}_high")),
        "sort": _sortable(value),
        "why": why if value is None else None,
    }


def _plain_cell(text: str, value: float | None) -> View:
    return {"text": text, "interval": "", "sort": _sortable(value), "why": None}


def _sortable(value: float | None) -> str:
    """What the page sorts by: the full number, empty where there is none."""
    return "" if value is None else repr(float(value))


# --- facts ---------------------------------------------------------------------------------------

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
    found = [{"label": label, "text": _fact(board[key])} for key, label in FACTS if board.get(key)]
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


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_fact(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_fact(item) for item in value)
    return display.short(value)


ROW_FACTS = (
    ("objective", "Objective"),
    ("divergence", "Divergence"),
    ("form", "Form"),
    ("beta", "Beta"),
    ("curvature", "Curvature"),
    ("learning_rate", "Learning rate"),
    ("weight_dtype", "Weights"),
    ("preference_stage", "Preference stage"),
    ("dpo_beta", "DPO beta"),
    ("seed", "Seed"),
)


def _row_facts(row: Row) -> list[View]:
    found = [{"label": label, "text": display.short(row[key])} for key, label in ROW_FACTS if row[key] is not None]
    measured = (
        ("Training time", row["train_seconds"], display.duration),
        ("Training tokens per second", row["train_tokens_per_second"], display.whole),
        ("Mean length, characters", row["mean_length"], display.whole),
        ("Baseline's mean length", row["mean_length_baseline"], display.whole),
        ("Mean completion tokens", row["mean_completion_tokens"], display.rate),
        ("Truncated, percent", row["truncation_rate"], display.rate),
        ("Empty, percent", row["empty_rate"], display.rate),
    )
    found += [{"label": label, "text": show(value)} for label, value, show in measured if value is not None]
    if row["surviving_updates"] is not None:
        found.append({"label": "Surviving updates", "text": _fact(row["surviving_updates"])})
    if row["interval_note"]:
        found.append({"label": "Win-rate interval", "text": row["interval_note"]})
    found += [{"label": f"Stage: {kind}", "text": str(key)} for kind, key in (row["stage_keys"] or {}).items()]
    return found


def _families(row: Row) -> list[View]:
    return [
        {
            "name": name,
            "parts": ", ".join(part_label(part) for part in figures.get("parts") or []),
            "n": figures.get("n"),
            "pass_rate": _rate_cell(figures, "pass_rate"),
            "mean_score": _rate_cell(figures, "mean_score"),
        }
        for name, figures in sorted((row["by_family"] or {}).items())
    ]


def _comparisons(board: Board, name: str) -> list[View]:
    """The row against every other, seen from the row: positive means the row is better."""
    found = []
    for pair in (board.get("comparison") or {}).get("pairs") or []:
        if name not in (pair["a"], pair["b"]) or pair["difference"] is None:
            continue
        sign, other = (1, pair["b"]) if pair["a"] == name else (-1, pair["a"])
        ends = sorted(sign * pair[key] for key in ("difference_low", "difference_high") if pair[key] is not None)
        found.append(
            {
                "other": other,
                "link": quote(display.file_stem(other)) + ".html",
                "difference": display.signed(sign * pair["difference"]),
                "sort": sign * pair["difference"],
                "interval": " to ".join(display.signed(end) for end in ends),
                "p": display.p_value(pair["p_holm"]),
                "verdict": "no difference shown" if not pair["significant"] else _better(sign * pair["difference"]),
            }
        )
    return sorted(found, key=lambda item: item["sort"])


def _better(difference: float) -> str:
    return "better" if difference > 0 else "worse"
