"""Verdicts on a board's claims, as data: computed from its rows and verdicts alone, so that anyone can redo it."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.claims import agreement, effects, rule, selection
from harness.claims.effects import ALL, Test
from harness.claims.settings import Claims
from harness.claims.sources import Board, Cells, VerdictsByBenchmark
from harness.errors import ConfigError
from harness.stats import paired

Report = dict[str, Any]


def make(board: Board, verdicts: VerdictsByBenchmark, values: Report | None = None) -> Report:
    """``{"claims": [...], "summary": [...], …}``; ``values`` is the report of a values analysis, if there is one.

    Raises ConfigError for a board whose recipe has no claims block.
    """
    from harness.config import Recipe

    recipe = Recipe.model_validate(board["recipe"])
    if recipe.claims is None:
        raise ConfigError(
            f"the recipe of {board['board']} names no claims, so there is nothing to test.",
            "add a claims block before the run (docs/claims.md); a comparison chosen after it proves little",
        )
    claims, stage = recipe.claims, recipe.claims.stage_of(recipe.stages)
    cells = Cells(board, verdicts)
    picks = selection.pick(claims, stage, cells)
    tests = _tests(claims, stage, cells, picks, values)
    lines = [line for part in dict.fromkeys(test.part for test in tests) for line in _corrected(tests, part)]
    return {
        "board": board["board"],
        "named": claims.model_dump(mode="json"),
        "preference_stage": stage,
        "benchmark": cells.primary,
        "alpha": rule.ALPHA,
        "registration": board.get("claims_registration"),
        "selection": [pick for pick in picks if len(pick["candidates"]) > 1],
        "summary": [_summary(claim, lines) for claim in effects.STATEMENTS],
        "values_analysis": agreement.source(values),
        "claims": lines,
        "cannot_tell": cannot_tell(board, recipe.seeds, claims, values),
    }


def _tests(claims: Claims, stage: str, cells: Cells, picks: selection.Picks, values: Report | None) -> list[Test]:
    found = []
    for part in [ALL, *cells.parts()]:
        for pick in picks:
            claim = "a" if pick["role"] == "low_learning_rate" else "b"
            found.append(effects.compare(claim, pick["picked"], pick["role"], part, claims, stage, cells))
    compared = dict.fromkeys([claims.baseline, *(pick["picked"] for pick in picks if pick["picked"])])
    return found + [agreement.test(variant, stage, values, cells) for variant in compared]


def _corrected(tests: list[Test], part: str) -> list[dict[str, Any]]:
    """The lines of one part: Holm over its tests, then the verdicts."""
    family = [test for test in tests if test.part == part]
    p_holm, below_holm = _holm([test.p_value for test in family]), _holm([test.p_below for test in family])
    lines = []
    for test, p, below in zip(family, p_holm, below_holm, strict=True):
        verdict = rule.decide(test.effect, p, below)
        line = test.line() | {"p_holm": p, "p_below_holm": below, "verdict": verdict}
        lines.append(line | {"why": "; ".join(filter(None, [test.why, _why(line)]))})
    return lines


def _holm(values: list[float | None]) -> list[float | None]:
    """Holm's correction over the tests that have a p-value."""
    known = [index for index, value in enumerate(values) if value is not None]
    adjusted = paired.holm(np.array([values[index] for index in known], dtype=float))
    found: list[float | None] = [None] * len(values)
    for index, value in zip(known, adjusted, strict=True):
        found[index] = float(value)
    return found


def _why(line: dict[str, Any]) -> str:
    if line["verdict"] != "cannot tell" or line["smallest_detectable_difference"] is None:
        return ""
    return f"smallest detectable difference {line['smallest_detectable_difference']:.2f} with this design"


def _summary(claim: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """A claim's verdict on all instructions: that of its tests where they agree, else how many say what."""
    own = [line for line in lines if line["claim"] == claim and line["part"] == ALL]
    verdicts = [line["verdict"] for line in own]
    told = [f"{verdict}: {verdicts.count(verdict)} of {len(own)}" for verdict in dict.fromkeys(verdicts)]
    return {
        "claim": claim,
        "statement": own[0]["statement"],
        "verdict": verdicts[0] if len(set(verdicts)) == 1 else f"differs between cells ({'; '.join(told)})",
        "tests": len(own),
    }


def cannot_tell(board: Board, seeds: list[int], claims: Claims, values: Report | None) -> list[str]:
    """What this design does not answer, whatever its numbers are."""
    found = []
    if len(seeds) < 2:
        found.append(
            "One training seed: every difference is between two checkpoints. Whether the recipes differ cannot be "
            "told; add seeds, e.g. seeds: [0, 1, 2]."
        )
    elif len(seeds) < 5:
        found.append(f"{len(seeds)} training seeds: intervals are wide because so few say little about the next one.")
    record = board.get("claims_registration")
    if record is None:
        found.append(
            "No run recorded these claims before its results, so that they were named beforehand is not shown."
        )
    else:
        found += _registered(record, seeds)
    if values is None:
        run = f"bridgebench analyze values {board['board']}"
        found.append(f"Claim (c): no values analysis of these checkpoints; run `{run}`.")
    if any(len(names) > 1 for names in claims.candidates().values()):
        found.append(
            f"A best-of-sweep cell was tuned on {claims.select_on} and the baseline was not: part of its lead may be "
            "tuning."
        )
    found.append("One base model, one data set, one judge: nothing here says that a verdict carries over to others.")
    return found


def _registered(record: dict[str, Any], seeds: list[int]) -> list[str]:
    found = []
    if record["before_results"] is False:
        found.append(
            f"The claims were recorded on {record['recorded']}, after the first verdict ({record['first_verdict']}): "
            "they may have been chosen by the numbers."
        )
    if added := sorted(set(seeds) - set(record["seeds"])):
        found.append(
            f"Seeds {', '.join(map(str, added))} were added after the claims were recorded; if that was decided after "
            "looking at results, the p-values are too small."
        )
    return found
