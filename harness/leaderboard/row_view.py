"""One row → what its page shows: estimates by part and family, comparisons, recipe, curves, analyses, provenance."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from harness.leaderboard import cells, curves, display, fields, row_analyses
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Metric, Row


def row_page(
    board: Board, rows: list[Row], row: Row, metrics: list[Metric], stages: list[Row], analyses: dict[str, Row]
) -> View:
    """Everything a row's page shows; ``stages`` are the manifests behind the row, in their order; without them the page
    says what the row itself keeps of its ``provenance``.
    """
    stages = stages or [_manifest(entry) for entry in row.get("provenance") or []]
    return {
        "row": row,
        "settings": display.settings(row),
        "browse_link": f"../browse.html#row={quote(row['row'])}",
        "compare_link": f"../compare.html#{_compared(board, row)}",
        "figures": [_line(row, part, metrics) for part in [None, *fields.parts([row])]],
        "metrics": metrics,
        "families": _families(row, metrics),
        "compared_by": str((board.get("comparison") or {}).get("metric", "")).replace("_", " "),
        "comparisons": _comparisons(board, row["row"]),
        "training": curves.stages(stages),
        "analyses": row_analyses.sections(analyses, row["row"]),
        "calibration": row.get("calibration") or board.get("calibration"),
        "facts": _row_facts(row),
        "provenance": [_stage(stage) for stage in stages],
        "keys": [] if stages else [(kind, str(key)) for kind, key in (row["stage_keys"] or {}).items()],
        "notes": cells.notes(board, rows),
    }


def _manifest(entry: Row) -> Row:
    kind, _, key = str(entry["stage"]).partition("/")
    return {**entry, "kind": kind, "key": key}


def _compared(board: Board, row: Row) -> str:
    baseline = board.get("baseline")
    other = f"&b={quote(str(baseline))}" if baseline and baseline != row["row"] else ""
    return f"a={quote(row['row'])}{other}"


def _line(row: Row, part: str | None, metrics: list[Metric]) -> View:
    figures = fields.cell(row, part)
    return {
        "label": "All prompts" if part is None else fields.part_label(part),
        "meaning": fields.PARTS.get(part or "", ("", ""))[1],
        "n": figures.get("n"),
        "n_missing": figures.get("n_missing"),
        "cells": [cells.bar_cell(figures, metric) for metric in metrics],
    }


def _families(row: Row, metrics: list[Metric]) -> View:
    """Figures by task family, with the metrics that families have."""
    families = sorted((row["by_family"] or {}).items())
    shown = [metric for metric in metrics if any(figures.get(metric.key) is not None for _, figures in families)]
    return {
        "metrics": shown,
        "lines": [
            {
                "name": name or "none",
                "parts": ", ".join(fields.part_label(part) for part in figures.get("parts") or []),
                "n": figures.get("n"),
                "cells": [cells.bar_cell(figures, metric) for metric in shown],
            }
            for name, figures in families
        ],
    }


ROW_FACTS = (
    ("source", "Source"),
    ("objective", "Objective"),
    ("divergence", "Divergence"),
    ("alpha", "Alpha"),
    ("form", "Form"),
    ("gauge", "Gauge"),
    ("beta", "Beta"),
    ("curvature", "Curvature"),
    ("learning_rate", "Learning rate"),
    ("weight_dtype", "Weights"),
    ("preference_stage", "Preference stage"),
    ("dpo_beta", "DPO beta"),
    ("dpo_divergence", "DPO divergence"),
    ("dpo_alpha", "DPO alpha"),
    ("seed", "Seed"),
)


def _row_facts(row: Row) -> list[View]:
    found = [{"label": label, "text": display.short(row[key])} for key, label in ROW_FACTS if row.get(key) is not None]
    measured = (
        ("Training time", row["train_seconds"], display.duration),
        ("Training tokens per second", row["train_tokens_per_second"], display.whole),
        ("Mean length, characters", row["mean_length"], display.whole),
        ("Baseline's mean length", row["mean_length_baseline"], display.whole),
        ("Mean completion tokens", row["mean_completion_tokens"], display.rate),
        ("Truncated, percent", row["truncation_rate"], display.rate),
        ("Empty, percent", row["empty_rate"], display.rate),
        ("Both orders agree, percent", row.get("position_consistency"), display.rate),
        ("Preference for the first shown, percent", row.get("first_position_rate"), display.rate),
    )
    found += [{"label": label, "text": show(value)} for label, value, show in measured if value is not None]
    if row["surviving_updates"] is not None:
        found.append({"label": "Surviving updates", "text": cells.fact(row["surviving_updates"])})
    if row["interval_note"]:
        found.append({"label": "Win-rate interval", "text": row["interval_note"]})
    return found


_STAGE_FACTS = (
    ("command", "Command"),
    ("commit", "Commit"),
    ("versions", "Versions"),
    ("machine", "Machine"),
    ("started", "Started"),
    ("finished", "Finished"),
    ("inputs", "Made from"),
    ("identity", "Settings"),
    ("summary", "Outcome"),
)


def _stage(manifest: Row) -> View:
    """A manifest as the page tells it."""
    facts = [{"label": label, "text": _told(manifest, key)} for key, label in _STAGE_FACTS if manifest.get(key)]
    return {
        "name": f"{manifest.get('kind')}/{manifest.get('key')}",
        "kind": str(manifest.get("kind")),
        "label": str(manifest.get("label") or ""),
        "seconds": display.duration(manifest.get("seconds")),
        "facts": facts,
        "files": [
            {"name": str(name), "sha256": str(entry.get("sha256")), "bytes": display.whole(entry.get("bytes"))}
            for name, entry in sorted((manifest.get("files") or {}).items())
        ],
    }


def _told(manifest: Row, key: str) -> str:
    value: Any = manifest[key]
    if key == "commit" and manifest.get("dirty"):
        return f"{value}, with changes that were not committed"
    return cells.fact(value)


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
                "compare": f"../compare.html#a={quote(name)}&b={quote(other)}",
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
