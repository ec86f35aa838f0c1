"""Which tokens earned the reward, as drawings for a row's page: each token coloured by its d_t = log π − log π₀.

Drawings, not text in boxes: a page's policy admits no style of an element's own, and a drawing's lines are ours to set.
"""

from __future__ import annotations

from typing import Any

from harness.analysis import credit
from harness.analysis.credit import Cell, Credit
from harness.leaderboard import display
from harness.leaderboard.cells import View

COLUMNS = 46
STEPS = 4


def pairs(found: list[dict[str, Any]]) -> list[View]:
    """Pairs as `finished.read` gives them → drawings of both sides, in one scale of colour."""
    largest = max((abs(d) for pair in found for side in pair["sides"].values() for d in side["d"]), default=0.0) or 1.0
    return [
        {
            "id": display.visible(str(pair["id"])),
            "largest": f"{largest:.2f}",
            "sides": [_side(name, side, largest) for name, side in pair["sides"].items()],
        }
        for pair in found
    ]


def _side(name: str, side: dict[str, Any], largest: float) -> View:
    shown = [display.visible(piece) for piece in side["pieces"]]
    laid = credit.layout(Credit(name, list(zip(shown, side["d"], strict=True))), COLUMNS)
    lines = max((cell.line for cell in laid), default=0) + 1
    cut = f", first {len(shown)} of {side['tokens']} tokens" if side["tokens"] > len(shown) else ""
    return {
        "name": name,
        "sum": f"{sum(side['d']):+.2f}".replace("-", "−"),
        "cut": cut,
        "width": f"{credit.CELL * (COLUMNS + 1):.0f}",
        "height": credit.LINE * lines + 6,
        "cells": [_cell(cell, largest) for cell in laid],
        "body": [[credit.visible(piece), _signed(d)] for piece, d in zip(shown, side["d"], strict=True)],
    }


def _cell(cell: Cell, largest: float) -> View:
    strength = round(STEPS * min(1.0, abs(cell.value) / largest))
    side = "up" if cell.value >= 0 else "down"
    return {
        "x": f"{credit.CELL * (cell.column + 0.5):.1f}",
        "y": credit.LINE * cell.line + 17,
        "top": credit.LINE * cell.line + 3,
        "width": f"{credit.CELL * len(cell.text):.1f}",
        "style": f"{side}{strength}" if strength else "none",
        "title": _signed(cell.value),
        "text": cell.text,
    }


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
