"""Rows of a board that differ in their training seed alone → ``groups``: one entry per recipe cell, with its rank.

Rows stay what they are, one per checkpoint; groups stand beside them in ``data.json`` and say what holds of the recipe.
"""

from __future__ import annotations

from typing import Any

from harness.aggregate import groups
from harness.aggregate.comparison import Metric
from harness.aggregate.outcomes import Seed, gather
from harness.aggregate.table import Verdict

Row = dict[str, Any]
VerdictsByRow = dict[str, list[Verdict]]
DESCRIPTION = (
    *("variant", "objective", "divergence", "form", "beta", "curvature", "learning_rate", "weight_dtype"),
    *("preference_stage", "dpo_beta", "dpo_learning_rate"),
)


def cell_name(row: Row) -> str:
    """The row's name without its seed: ``sft+dpo`` for ``sft+dpo@2``."""
    return str(row["row"]).removesuffix(f"@{row.get('seed')}")


def by_cell(rows: list[Row]) -> dict[str, list[Row]]:
    """Cell → its rows, failed ones too, in the board's order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(cell_name(row), []).append(row)
    return found


def describe(rows: list[Row], verdicts: dict[str, VerdictsByRow], metric: Metric, *, seed: int = 0) -> dict[str, Any]:
    """``groups`` and ``group_comparison`` of a board; ``verdicts`` are by benchmark, the primary first, then by row.

    A row without verdicts (failed, not run yet) is named in its group's ``failed`` and enters no figure.
    """
    cells = by_cell(rows)
    primary = next(iter(verdicts.values()))
    found = {name: _seeds(members, primary) for name, members in cells.items()}
    compared = groups.compare(
        {name: gather(lines, metric) for name, lines in found.items() if lines}, metric, seed=seed
    )
    listed = [_group(name, members, verdicts, seed) for name, members in cells.items()]
    for group in listed:
        group["rank"] = compared["ranks"].get(group["group"])
    return {"groups": listed, "group_comparison": compared}


def _seeds(members: list[Row], verdicts: VerdictsByRow) -> dict[Seed, list[Verdict]]:
    return {row.get("seed"): verdicts[row["row"]] for row in members if row["row"] in verdicts}


def _group(name: str, members: list[Row], verdicts: dict[str, VerdictsByRow], seed: int) -> dict[str, Any]:
    seeds = [row.get("seed") for row in members]
    estimates = {
        benchmark: groups.estimate(_seeds(members, by_row), seed=seed)
        for benchmark, by_row in verdicts.items()
        if _seeds(members, by_row)
    }
    primary = next(iter(verdicts))
    finished = _seeds(members, verdicts[primary])
    described = {
        "group": name,
        **{key: members[0][key] for key in DESCRIPTION if members[0].get(key) is not None},
        "seeds": [one for one in seeds if one is not None],
        "n_seeds": sum(one is not None for one in finished),
        "rows": [row["row"] for row in members],
        "failed": {row["row"]: str(row["failed"]) for row in members if row.get("failed")},
        **estimates.get(primary, {}),
    }
    if seeds == [None] and primary in estimates:
        described["interval_note"] = "not trained here: over instructions only"
    return described | ({"benchmarks": estimates} if len(verdicts) > 1 else {})
