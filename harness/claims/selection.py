"""Best of a sweep: picked on the dev benchmark, reported on the primary one."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.claims.settings import Claims
from harness.claims.sources import Cells

Picks = list[dict[str, Any]]


def pick(claims: Claims, stage: str, cells: Cells) -> Picks:
    """One entry per role: ``role, candidates, select_on, means, picked``; ``picked`` is None while a candidate lacks
    results, since the best of the others would be another selection than the one that was named.
    """
    return [
        {
            "role": role,
            "candidates": names,
            "select_on": claims.select_on if len(names) > 1 else None,
            **(_best(names, claims, stage, cells) if len(names) > 1 else {"means": {}, "picked": names[0]}),
        }
        for role, names in claims.candidates().items()
    ]


def _best(names: list[str], claims: Claims, stage: str, cells: Cells) -> dict[str, Any]:
    means = {name: _mean(f"{name}+{stage}", claims, cells) for name in names}
    known = {name: mean for name, mean in means.items() if mean is not None}
    picked = max(known, key=lambda name: known[name]) if len(known) == len(names) else None
    return {"means": means, "picked": picked}


def _mean(cell: str, claims: Claims, cells: Cells) -> float | None:
    """Mean over the cell's seeds and dev instructions, 0 to 100; None unless every seed has results."""
    outcomes = cells.outcomes(cell, claims.metric, claims.select_on)
    if outcomes is None or len(outcomes.seeds) < len(cells.rows(cell)) or np.isnan(outcomes.values).all():
        return None
    return 100 * float(np.nanmean(outcomes.values))
