"""Claims (a) and (b): a cell after the preference stage against the baseline's, on one part of the benchmark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from harness.aggregate.differences import Difference, difference
from harness.claims import rule
from harness.claims.rule import Evidence
from harness.claims.settings import Claims
from harness.claims.sources import Cells

ALL = "all"
STATEMENTS = {
    "a": "SFT with a lower learning rate, then {stage}, beats SFT, then {stage}",
    "b": "f-divergence SFT, then {stage}, beats SFT, then {stage}",
    "c": "State values agree across post-training stages",
}


@dataclass
class Test:
    """One line of ``claims.json`` before Holm's correction and the verdict."""

    claim: str
    statement: str
    treatment: str
    control: str
    part: str
    test: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    degrees: float | None = None
    p_value: float | None = None
    p_below: float | None = None
    smallest_detectable_difference: float | None = None
    seeds: int = 0
    n: int = 0
    n_left_out: int = 0
    why: str = ""

    def line(self) -> dict[str, Any]:
        """As it stands in ``claims.json``."""
        return asdict(self)


def compare(claim: str, variant: str | None, role: str, part: str, claims: Claims, stage: str, cells: Cells) -> Test:
    """``variant`` then ``stage`` minus the baseline then ``stage``; without a variant the test says why."""
    control = f"{claims.baseline}+{stage}"
    treatment = f"{variant or role}+{stage}"
    metric = claims.metric.replace("_", " ")
    test = Test(
        claim,
        STATEMENTS[claim].format(stage=stage),
        treatment,
        control,
        part,
        f"difference in {metric}, points, paired by seed and instruction; two-way random effects, Satterthwaite's t",
    )
    if variant is None:
        test.why = f"the best of the sweep cannot be picked on {claims.select_on}: a candidate has no results"
        return test
    sides = [cells.outcomes(cell, claims.metric) for cell in (treatment, control)]
    absent = [cell for cell, outcomes in zip((treatment, control), sides, strict=True) if outcomes is None]
    if absent:
        test.why = _absent(absent[0], cells)
        return test
    a, b = (outcomes.on(None if part == ALL else part) for outcomes in sides if outcomes is not None)
    _fill(test, difference(a, b, seed=_seed(cells)), claims.smallest_effect)
    if failed := [reason for cell in (treatment, control) for reason in cells.failures(cell)]:
        test.why = "; ".join(filter(None, [test.why, *failed]))
    return test


def _seed(cells: Cells) -> int:
    return int(cells.board["recipe"]["statistics"]["seed"])


def _absent(cell: str, cells: Cells) -> str:
    return "; ".join(cells.failures(cell)) or f"the board has no row of {cell}"


def _fill(test: Test, found: Difference, smallest: float) -> None:
    evidence = Evidence(found.effect, found.standard_error, found.degrees, smallest)
    test.effect, test.low, test.high = found.effect, found.low, found.high
    test.standard_error, test.degrees = found.standard_error, found.degrees
    test.seeds, test.n, test.n_left_out = len(found.seeds), found.n, found.n_left_out
    if found.degrees is not None:
        test.p_value, test.p_below = found.p, rule.p_below(evidence)
        test.smallest_detectable_difference = rule.detectable(evidence)
        if found.standard_error == 0:
            test.why = "the difference is the same on every seed and instruction, so its spread is not known"
    elif found.effect is None:
        test.why = "no instruction has all its verdicts"
    else:
        test.test = "difference of two checkpoints, paired by instruction (these checkpoints only)"
        test.why = (
            f"one training seed: the interval is over instructions, of these checkpoints only (sign-flip p "
            f"{found.p:.3g}); another seed may give another sign, so nothing follows for the recipes"
        )
