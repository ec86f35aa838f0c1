"""Claim (c): do a cell before and after the preference stage agree on the values of states?

Read from a values analysis (`bridgebench analyze values RUN`): Spearman's rho of V_theta - V_0 between two checkpoints
over the same states given V_0, against a shuffle that keeps every state's position (docs/analysis.md). V - V_0 of two
checkpoints share V_0, so the plain rho is high without any agreement; it stands beside and decides nothing.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from harness import files
from harness.analysis import finished
from harness.board_evidence import Board
from harness.claims import rule
from harness.claims.effects import ALL, STATEMENTS, Test
from harness.claims.sources import Cells
from harness.errors import ConfigError

Report = dict[str, Any]
NULL_QUANTILE = 1.96  # the report's null_high is the 97.5 % point of the shuffled correlations
NEEDED = ("rho", "low", "high", "null_mean", "null_high", "p_value")
GIVEN = "--values"


def read(path: Path) -> Report:
    """A values report. Raises ConfigError for another file."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}.", "bridgebench analyze values RUN --json > FILE   makes it")
    report = files.read_json(path)
    pairs = report.get("agreement", {}).get("value") if isinstance(report, dict) else None
    if not isinstance(pairs, list) or any(key not in pair for pair in pairs for key in ("a", "b", "rho")):
        raise ConfigError(
            f"{path} is not the report of a values analysis.", "bridgebench analyze values RUN --json > FILE"
        )
    if any(key not in pair.get("given_base", {}) for pair in pairs for key in NEEDED):
        raise ConfigError(
            f"{path} has no intervals of the agreement given V_0: an earlier version made it.",
            "bridgebench analyze values RUN --json > FILE   makes it anew; finished passes are not repeated",
        )
    return {**report, "given_by": GIVEN}


def analysed(board: Board) -> Report | None:
    """The finished values analysis of the board's checkpoints; None where there is none."""
    name = finished.of_board(board).get("values")
    return finished.read(name, board.data["rows"], board.evidence) if name is not None else None


def source(report: Report | None) -> str | None:
    """Which analysis a report is: its stage, and whether a user gave it."""
    if report is None:
        return None
    stage = str(report.get("stage") or "a file")
    return f"{stage}, given with {GIVEN}" if report.get("given_by") else stage


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
        "Spearman's rho of V - V_0 given V_0, above a position-matched shuffle; envelope over seeds, largest p",
    )
    if report is None:
        found.why = f"no values analysis; run `bridgebench analyze values {cells.board['board']}`"
        return found
    wanted = [(row["row"], row["row"].replace(before, after, 1)) for row in cells.rows(before)]
    pairs = [pair for names in wanted if (pair := _pair(report, names)) is not None]
    if not pairs:
        found.why = f"the values analysis has no figures of {before} beside {after}"
        return found
    _fill(found, pairs, report)
    found.why = _told(pairs, len(wanted))
    if len(pairs) < 2:
        found.p_value = None
        found.why = f"one training seed: agreement of these two checkpoints only; {found.why}"
    return found


def _told(pairs: list[Report], wanted: int) -> str:
    """What stands beside the verdict: the plain rho, and seeds without figures."""
    plain = f"rho without taking V_0 out: {fmean(pair['rho'] for pair in pairs):.2f}"
    return plain if len(pairs) == wanted else f"{plain}; {len(pairs)} of {wanted} seeds have figures"


def _pair(report: Report, names: tuple[str, str]) -> dict[str, Any] | None:
    for pair in report["agreement"]["value"]:
        if {pair["a"], pair["b"]} == set(names) and all(pair["given_base"][key] is not None for key in NEEDED):
            return pair
    return None


def _fill(found: Test, pairs: list[dict[str, Any]], report: Report) -> None:
    given = [pair["given_base"] for pair in pairs]
    found.seeds = len(pairs)
    found.n = _examples(report)
    found.effect = fmean(each["rho"] - each["null_mean"] for each in given)
    found.low = min(each["low"] - each["null_mean"] for each in given)
    found.high = max(each["high"] - each["null_mean"] for each in given)
    found.p_value = max(each["p_value"] for each in given)
    spread = max((each["null_high"] - each["null_mean"]) / NULL_QUANTILE for each in given)
    found.smallest_detectable_difference = rule.detectable(rule.Evidence(found.effect, spread, float("inf"), 0.0))
    below = [_p_below(each) for each in given]
    known = [p for p in below if p is not None]  # an interval without width tells nothing about the other side
    found.p_below = max(known) if len(known) == len(given) > 1 else None


def _examples(report: Report) -> int:
    """Pairs of continuations that the analysis saw; a stage's report has its rows by name."""
    rows = report.get("rows") or [{}]
    first = next(iter(rows.values())) if isinstance(rows, dict) else rows[0]
    return int(first.get("pairs") or 0)


def _p_below(pair: dict[str, Any]) -> float | None:
    """p of "rho is at least what shuffled states give", with the standard error that the interval's width implies."""
    error = (pair["high"] - pair["low"]) / (2 * NULL_QUANTILE)
    return rule.p_below(rule.Evidence(pair["rho"] - pair["null_mean"], error, float("inf"), 0.0))
