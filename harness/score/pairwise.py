"""Rows of preferences: AlpacaEval's and those of our own judges and benchmarks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from harness import aggregate
from harness.adapters.verdict_files import ALPACA, OWN, Format
from harness.aggregate import orders
from harness.score import alpaca_fit
from harness.score.alpaca_fit import Extra
from harness.score.request import Request

Line = dict[str, Any]
Estimates = dict[str, Any]


def estimator(request: Request, kind: Format, models: dict[str, list[Line]]) -> Callable[[list[Line]], Estimates]:
    """A function from one model's lines to its estimates; AlpacaEval's files are loaded once for all."""
    if request.benchmark != "alpaca_eval":
        return lambda lines: _own(lines, request, None)
    extra = alpaca_fit.load(request)
    if isinstance(extra, str):
        reason = (
            f"AlpacaEval's fit needs its own files, and {extra}: "
            "this is our own length control, not comparable with published rates"
        )
        return lambda lines: _own(lines, request, reason)
    number(kind, models, len(extra.difficulty))
    return lambda lines: _fitted(lines, extra, request)


def _own(lines: list[Line], request: Request, reason: str | None) -> Estimates:
    found = aggregate.estimate(lines, seed=request.seed, draws=request.draws, whole_only=True)
    found["length_control"] = "own" if found["lc_win_rate"] is not None else None
    found["length_control_strength"] = None
    return found | {"notes": [found["interval_note"], *([reason] if reason else [])]}


def _fitted(lines: list[Line], extra: Extra, request: Request) -> Estimates:
    found = aggregate.estimate(
        lines, seed=request.seed, draws=request.draws, whole_only=True, length_controlled=False
    ) | alpaca_fit.fit(_one_per_prompt(lines), extra, request)
    notes = [found["interval_note"], alpaca_fit.note(found, extra), *_unlike(lines)]
    return found | {"notes": notes}


def _one_per_prompt(lines: list[Line]) -> list[Line]:
    """Where a prompt was judged in both orders, their mean, in the benchmark's order; other rows as they are."""
    if len({line["prompt_id"] for line in lines}) == len(lines):
        return lines
    merged = orders.merge(str(lines[0]["model"]), lines)
    return sorted(merged, key=lambda line: -1 if line["index"] is None else int(line["index"]))


def _unlike(lines: list[Line]) -> list[str]:
    baseline = lines[0].get("baseline")
    if baseline in (None, alpaca_fit.BASELINE):
        return []
    return [f"the fit's extra rows are of {alpaca_fit.BASELINE}, the baseline here is {baseline}"]


def number(kind: Format, models: dict[str, list[Line]], n_instructions: int) -> None:
    """Give each line the ``index`` of its instruction and bring each model's lines in the benchmark's order.

    AlpacaEval's files have no numbers; a model with all instructions shows the order. Our own verdicts are numbered
    by ``index`` or by the number at the end of their prompt id, counted from 0. A line whose number cannot be
    known has None.
    """
    known = _numbers(models, n_instructions) if kind is ALPACA else {}
    for model, lines in models.items():
        for line in lines:
            line["index"] = _index(line, kind, known, n_instructions)
        numbers = {(line["prompt_id"], line["index"]) for line in lines}
        if len({index for _, index in numbers}) < len(numbers):
            for line in lines:
                line["index"] = None  # two prompts with one number: the numbers are not the benchmark's
        if kind is not ALPACA and all(line["index"] is not None for line in lines):
            models[model] = sorted(lines, key=lambda line: int(line["index"]))


def _numbers(models: dict[str, list[Line]], n_instructions: int) -> dict[str, int]:
    whole = next((lines for lines in models.values() if len(lines) == n_instructions), [])
    return {line["prompt_id"]: place for place, line in enumerate(whole)}


def _index(line: Line, kind: Format, known: dict[str, int], n_instructions: int) -> int | None:
    if kind is ALPACA:
        return known.get(line["prompt_id"])
    found = line.get("index")
    if found is None and kind is OWN:
        digits = re.search(r"(\d+)$", str(line["prompt_id"]))
        found = int(digits.group(1)) if digits else None
    return found if found is not None and 0 <= int(found) < n_instructions else None
