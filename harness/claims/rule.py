"""Effect, standard error and corrected p-values → one of three verdicts.

supported       the effect is positive and its Holm-corrected two-sided p is below 0.05;
not supported   an effect as large as the smallest one of interest is excluded: the Holm-corrected p of "the effect is
                at least that large" is below 0.05 (with 0 as the smallest effect: the opposite direction is shown);
cannot tell     neither, with the true difference that this design would find in four of five studies.

Both corrected families hold the tests of one part of the benchmark, so neither positive nor negative verdicts gain from
asking often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ALPHA = 0.05
POWER = 0.8
Verdict = Literal["supported", "not supported", "cannot tell"]


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; points of 0 to 100 (claim c: correlation). None where the design gives none."""

    effect: float | None
    standard_error: float | None
    degrees: float | None
    smallest_effect: float


def p_below(evidence: Evidence) -> float | None:
    """Twice the one-sided p of "the effect is at least the smallest of interest"; None without a standard error."""
    from scipy.stats import t

    if evidence.effect is None or evidence.standard_error is None or evidence.degrees is None:
        return None
    if evidence.standard_error == 0:  # verdicts that never differ say nothing about how much others would
        return None
    gap = evidence.effect - evidence.smallest_effect
    return min(1.0, 2 * float(t.cdf(gap / evidence.standard_error, evidence.degrees)))


def detectable(evidence: Evidence) -> float | None:
    """The true difference found with 80 % power at the 5 % level: (t_0.975 + t_0.8) standard errors.

    With many degrees of freedom this is (1.96 + 0.84) sd / sqrt(n), the board's figure.
    """
    from scipy.stats import t

    if not evidence.standard_error or evidence.degrees is None:
        return None
    quantiles = t.ppf(1 - ALPHA / 2, evidence.degrees) + t.ppf(POWER, evidence.degrees)
    return float(quantiles) * evidence.standard_error


def decide(effect: float | None, p_holm: float | None, p_below_holm: float | None) -> Verdict:
    """The verdict; p-values are Holm-corrected within one part."""
    if effect is None:
        return "cannot tell"
    if p_below_holm is not None and p_below_holm < ALPHA:
        return "not supported"
    if p_holm is not None and p_holm < ALPHA and effect > 0:
        return "supported"
    return "cannot tell"
