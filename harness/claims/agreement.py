"""Claim (c): do a cell before and after the preference stage agree on the values of states?

Read from the report of ``bridgebench analyze values RUN --json``: Spearman's rho of V_theta - V_0 between two
checkpoints over the same states, against a shuffle that keeps every state's position (docs/objectives.md).
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from harness import files
from harness.claims import rule
from harness.claims.effects import ALL, STATEMENTS, Test
from harness.claims.sources import Cells
from harness.errors import ConfigError

Report = dict[str, Any]
NULL_QUANTILE = 1.96  # the report's null_high is the 97.5 % point of the shuffled correlations
NEEDED = ("a", "b", "rho", "low", "high", "null_mean", "null_high", "p_value")


def read(path: Path) -> Report:
    """A values report. Raises ConfigError for another file."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}.", "bridgebench analyze values RUN --json > FILE   makes it")
    report = files.read_json(path)
    pairs = report.get("agreement", {}).get("value") if isinstance(report, dict) else None
    if not isinstance(pairs, list) or any(key not in pair for pair in pairs for key in NEEDED):
        raise ConfigError(
            f"{path} is not the report of a values analysis.", "bridgebench analyze values RUN --json > FILE"
        )
    return report


def test(variant: str, stage: str, report: Report | None, cells: Cells) -> Test:
    """Agreement of ``variant`` before and after ``stage``, above the shuffled one, as the mean over seeds.

    The interval is the envelope of the seeds' intervals and p the largest of theirs: both hold whatever the seeds have
    in common, and say that agreement is there in every one of them.
    """
    before, after = variant, f"{variant}+{stage}"
    found = Test(
        "c",
        STATEMENTS["c"],
        after,
        before,
        ALL,
        "Spearman's rho of V - V_0 above a position-matched shuffle; envelope over seeds, largest p",
    )
    if report is None:
        found.why = (
            f"not analysed: bridgebench analyze values {cells.board['board']} --json > values.json, then --values"
        )
        return found
    wanted = [(row["row"], row["row"].replace(before, after, 1)) for row in cells.rows(before)]
    pairs = [pair for names in wanted if (pair := _pair(report, names)) is not None]
    if not pairs:
        found.why = f"the values analysis has no figures of {before} beside {after}"
        return found
    _fill(found, pairs, report)
    if len(pairs) < 2:
        found.p_value = None
        found.why = "one training seed: agreement of these two checkpoints only"
    return found


def _pair(report: Report, names: tuple[str, str]) -> dict[str, Any] | None:
    for pair in report["agreement"]["value"]:
        if {pair["a"], pair["b"]} == set(names) and all(pair[key] is not None for key in NEEDED):
            return pair
    return None


def _fill(found: Test, pairs: list[dict[str, Any]], report: Report) -> None:
    found.seeds = len(pairs)
    found.n = int((report.get("rows") or [{}])[0].get("pairs") or 0)
    found.effect = fmean(pair["rho"] - pair["null_mean"] for pair in pairs)
    found.low = min(pair["low"] - pair["null_mean"] for pair in pairs)
    found.high = max(pair["high"] - pair["null_mean"] for pair in pairs)
    found.p_value = max(pair["p_value"] for pair in pairs)
    spread = max((pair["null_high"] - pair["null_mean"]) / NULL_QUANTILE for pair in pairs)
    found.smallest_detectable_difference = rule.detectable(rule.Evidence(found.effect, spread, float("inf"), 0.0))
    found.p_below = max(_p_below(pair) or 0.0 for pair in pairs) if len(pairs) > 1 else None


def _p_below(pair: dict[str, Any]) -> float | None:
    """p of "rho is at least what shuffled states give", with the standard error that the interval's width implies."""
    error = (pair["high"] - pair["low"]) / (2 * NULL_QUANTILE)
    return rule.p_below(rule.Evidence(pair["rho"] - pair["null_mean"], error, float("inf"), 0.0))
