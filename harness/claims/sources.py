"""A board's rows and verdicts as recipe cells: what every claim is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import seed_groups
from harness.aggregate.comparison import Metric
from harness.aggregate.outcomes import Outcomes, Verdicts, gather

Board = dict[str, Any]
VerdictsByBenchmark = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True)
class Cells:
    """Recipe cells of a board, by the name of variant and preference stage (``sft+dpo``)."""

    board: Board
    verdicts: VerdictsByBenchmark

    @property
    def primary(self) -> str:
        """The benchmark on which claims are tested."""
        return next(iter(self.verdicts))

    def rows(self, cell: str) -> list[dict[str, Any]]:
        """The cell's rows, one a seed, failed ones too."""
        return seed_groups.by_cell(self.board["rows"]).get(cell, [])

    def failures(self, cell: str) -> list[str]:
        """``row: reason`` of the cell's rows without results."""
        return [f"{row['row']}: {row['failed']}" for row in self.rows(cell) if row.get("failed")]

    def outcomes(self, cell: str, metric: Metric, benchmark: str | None = None) -> Outcomes | None:
        """The cell's outcomes on a benchmark, the primary one by default; None while no seed has results."""
        by_row = self.verdicts[benchmark or self.primary]
        found: Verdicts = {row.get("seed"): by_row[row["row"]] for row in self.rows(cell) if row["row"] in by_row}
        return gather(found, metric) if found else None

    def parts(self) -> list[str]:
        """Names of the primary benchmark's parts, in the board's usual order."""
        from harness.leaderboard import fields

        found = {str(line.get("part") or "") for lines in self.verdicts[self.primary].values() for line in lines}
        known = [name for name in fields.PARTS if name in found]
        return known + sorted(found - {*known, "", "all"})
