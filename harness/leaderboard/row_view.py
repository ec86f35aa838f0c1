"""One row → what its page shows beside its samples: estimates by part and family, comparisons, settings."""

from __future__ import annotations

from urllib.parse import quote

from harness.leaderboard import cells, display, fields
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Board, Row


def row_page(board: Board, rows: list[Row], row: Row) -> View:
    """Everything a row's page shows but its samples."""
    metrics = fields.shown_metrics(rows)
    return {
        "board": cells.described(board),
        "row": row,
        "settings": display.settings(row),
        "figures": [
            {
                "label": "All prompts" if part is None else cells.part_label(part),
                "n": fields.cell(row, part).get("n"),
                "n_missing": fields.cell(row, part).get("n_missing"),
                "cells": [cells.rate_cell(fields.cell(row, part), metric.key) for metric in metrics],
            }
            for part in [None, *fields.parts([row])]
        ],
        "metrics": metrics,
        "families": _families(row),
        "compared_by": str((board.get("comparison") or {}).get("metric", "")).replace("_", " "),
        "comparisons": _comparisons(board, row["row"]),
        "facts": _row_facts(row),
        "notes": cells.notes(board, rows),
    }


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
        found.append({"label": "Surviving updates", "text": cells.fact(row["surviving_updates"])})
    if row["interval_note"]:
        found.append({"label": "Win-rate interval", "text": row["interval_note"]})
    found += [{"label": f"Stage: {kind}", "text": str(key)} for kind, key in (row["stage_keys"] or {}).items()]
    return found


def _families(row: Row) -> list[View]:
    return [
        {
            "name": name,
            "parts": ", ".join(cells.part_label(part) for part in figures.get("parts") or []),
            "n": figures.get("n"),
            "pass_rate": cells.rate_cell(figures, "pass_rate"),
            "mean_score": cells.rate_cell(figures, "mean_score"),
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
