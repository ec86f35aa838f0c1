"""The keys of a row in ``data.json``, in their order, and the parts and metrics a board shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Board = dict[str, Any]

DESCRIPTION = (
    "row",
    "variant",
    "objective",
    "divergence",
    "form",
    "beta",
    "curvature",
    "learning_rate",
    "weight_dtype",
    "preference_stage",
    "dpo_beta",
    "seed",
    "rank",
    "failed",
)
CORE = (
    "n",
    "n_missing",
    "win_rate",
    "win_rate_low",
    "win_rate_high",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "discrete_win_rate",
    "lc_win_rate",
    "lc_win_rate_low",
    "lc_win_rate_high",
    "lc_reason",
    "n_scored",
    "pass_rate",
    "pass_rate_low",
    "pass_rate_high",
    "mean_score",
    "mean_score_low",
    "mean_score_high",
    "interval_note",
)
WHOLE = (
    "mean_length",
    "mean_length_baseline",
    "mean_completion_tokens",
    "truncation_rate",
    "empty_rate",
    "train_seconds",
    "train_tokens_per_second",
    "surviving_updates",
    "by_split",
    "by_family",
    "stage_keys",
)
KEYS = DESCRIPTION + CORE + WHOLE


@dataclass(frozen=True)
class Metric:
    """A rate with an interval: ``key``, ``key_low`` and ``key_high`` on 0 to 100."""

    key: str
    label: str
    explanation: str


METRICS = (
    Metric("pass_rate", "Pass rate", "share of prompts whose completion meets every requirement"),
    Metric("win_rate", "Win rate", "mean preference against the baseline's completion, a tie counts one half"),
    Metric("lc_win_rate", "LC win rate", "win rate predicted for completions as long as the baseline's"),
    Metric("mean_score", "Score", "mean of the judge's scores, which reward partial success"),
)

PARTS = {
    "in": ("In", "task families that were trained, with unseen phrasings and values"),
    "out": ("Out", "task families that were never trained"),
    "retain": ("Retain", "general prompts that the untouched base passes; what training may break"),
}


def complete(row: Row) -> Row:
    """The row with every key of `KEYS`, in their order, null where it has none; further keys follow,
    sorted.
    """
    ordered = {key: row.get(key) for key in KEYS}
    return ordered | {key: row[key] for key in sorted(row) if key not in ordered}


def reference_rows(board: Board) -> list[Row]:
    """Rows of other tables, shown beside the board's and never ranked with them.

    ``board["reference_tables"]`` is a list of ``{"name": …, "source": …, "note": …, "rows": [{"row": …, "win_rate":
    …, "lc_win_rate": …, "mean_length": …, …}]}``: figures on 0 to 100 under the keys of our rows, none required but
    ``row``. Each row comes back complete, with its table's name in ``table``.
    """
    tables = board.get("reference_tables") or []
    return [complete(row) | {"rank": None, "table": str(table["name"])} for table in tables for row in table["rows"]]


def shown_metrics(rows: list[Row]) -> list[Metric]:
    """The metrics that at least one row has."""
    return [metric for metric in METRICS if any(row.get(metric.key) is not None for row in rows)]


ELSEWHERE = "@"


def parts(rows: list[Row]) -> list[str]:
    """Names of the parts of the primary benchmark, the known ones first in their usual order, and of the other
    benchmarks, which have `ELSEWHERE` in front.
    """
    found = {part for row in rows for part in row.get("by_split") or {}}
    others = dict.fromkeys(ELSEWHERE + name for row in rows for name in list(row.get("benchmarks") or {})[1:])
    return [name for name in PARTS if name in found] + sorted(found - set(PARTS)) + list(others)


def part_label(part: str) -> str:
    """A part's name, or the benchmark's, for people."""
    return PARTS[part][0] if part in PARTS else part.removeprefix(ELSEWHERE)


def cell(row: Row, part: str | None) -> Row:
    """The row's figures on one part or benchmark; on the primary one for None; empty where the row has none."""
    if part is None:
        return row
    if part.startswith(ELSEWHERE):
        return (row.get("benchmarks") or {}).get(part.removeprefix(ELSEWHERE)) or {}
    return (row.get("by_split") or {}).get(part) or {}


def main_metric(board: Board, rows: list[Row]) -> str:
    """The metric that ranks the board."""
    named = (board.get("comparison") or {}).get("metric")
    shown = [metric.key for metric in shown_metrics(rows)]
    return named if named in shown else (shown or ["win_rate"])[0]


def in_rank_order(board: Board, rows: list[Row]) -> list[Row]:
    """Best first by rank, then by the ranking metric; rows without results last, otherwise in the given
    order.
    """
    metric = main_metric(board, rows)

    def place(row: Row) -> tuple[bool, float, float]:
        value = row.get(metric)
        return value is None, row.get("rank") or float("inf"), -(value or 0.0)

    return sorted(rows, key=place)


def stage_order(rows: list[Row]) -> list[str]:
    """Preference stages in alphabetical order but ``none`` first: the colours' order, the same on every
    board.
    """
    return sorted({stage(row) for row in rows}, key=lambda stage: (stage != "none", stage))


def stage(row: Row) -> str:
    """The row's preference stage, ``none`` where it has none."""
    return str(row.get("preference_stage") or "none")
