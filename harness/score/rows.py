"""One row per model: the benchmark's own estimates, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.adapters.verdict_files import BATTLES, Format
from harness.errors import ConfigError
from harness.protocols import mt_bench
from harness.score import arena, missing, pairwise, ratings, reading
from harness.score.missing import Missing
from harness.score.request import Request

Line = dict[str, Any]
Row = dict[str, Any]
Estimate = Callable[[list[Line]], Row]

PARTS = {"mt_bench": tuple(str(turn) for turn in mt_bench.TURNS)}
"""What every item of a benchmark is judged in, whether or not the files show it."""


def score(request: Request) -> list[Row]:
    """Rows in the order of the files' models, best first where they have a rate; failed ones last.

    A row with more missing verdicts than ``max_missing`` has ``failed`` (the reason) and no estimates; the others
    have None there. Raises ConfigError for files that cannot be read as this benchmark's verdicts.
    """
    kind, models = reading.read(request)
    itself = _baselines_own(request, models)
    everything = [line for lines in models.values() for line in lines]
    by_order = missing.several_orders(everything)
    units = set() if kind is BATTLES else missing.expected(everything, by_order, PARTS.get(request.benchmark, ()))
    estimate = _estimator(request, kind, models, itself)
    rows = []
    for model, lines in models.items():
        if model not in itself:
            found = missing.find(lines, units, by_order=by_order)
            rows.append(_row(model, lines, found, estimate, request))
    return sorted(rows, key=lambda row: (row["failed"] is not None, -_rate(row)))


def _baselines_own(request: Request, models: dict[str, list[Line]]) -> set[str]:
    """The baseline judged against itself is no row: its rate is one half by definition."""
    own = {model for model, lines in models.items() if all(line.get("baseline") == model for line in lines)}
    if own and own == set(models):
        raise ConfigError(f"these verdicts compare {', '.join(sorted(own))} with itself.")
    request.notes.extend(f"{model}, the baseline, against itself: left out" for model in sorted(own))
    return own


def _estimator(request: Request, kind: Format, models: dict[str, list[Line]], itself: set[str]) -> Estimate:
    if request.benchmark == "mt_bench":
        return lambda lines: ratings.estimate(lines, request)
    if request.benchmark.startswith("arena_hard"):
        return arena.estimator(request, kind, {name: own for name, own in models.items() if name not in itself})
    return pairwise.estimator(request, kind, models)


def _row(model: str, lines: list[Line], found: Missing, estimate: Estimate, request: Request) -> Row:
    failed = found.failure(request.max_missing)
    estimates = estimate(lines)
    if failed is not None:
        estimates = {key: value if key in KEPT else None for key, value in estimates.items()}
    judge = next((line["judge"] for line in lines if line.get("judge") is not None), None)
    baseline = next((line["baseline"] for line in lines if line.get("baseline") is not None), None)
    return {
        "model": model,
        "baseline": baseline,
        "judge": judge,
        **estimates,
        "n_missing": len(found.items),
        "n_failed": sum(item["kind"] != missing.ABSENT for item in found.items),
        "missing_by_kind": found.by_kind,
        "missing": found.items,
        "n_parser_disagreements": sum(not line.get("strict", True) for line in lines),
        "notes": [*(estimates["notes"] or []), *_notes(lines), *request.notes],
        "failed": failed,
    }


KEPT = ("n", "notes", "n_games", "length_control")
"""What a failed row still says."""


def _notes(lines: list[Line]) -> list[str]:
    notes = []
    differing = sum(bool(line.get("stored_differs")) for line in lines)
    if differing:
        notes.append(f"{differing} stored verdicts are not what the protocol's parser reads; the parser's were taken")
    disagreeing = sum(not line.get("strict", True) for line in lines)
    if disagreeing:
        notes.append(f"the strict parser disagrees on {disagreeing} of {len(lines)} verdicts")
    return notes


def _rate(row: Row) -> float:
    found = row.get("lc_win_rate", row.get("score"))
    found = row.get("win_rate") if found is None else found
    return -1.0 if found is None else float(found)
