"""Verdicts of one prompt in several orders → one verdict per prompt, with what the orders say about each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from harness.errors import IntegrityError
from harness.protocols.order import first_shown_preference

Verdict = dict[str, Any]

CONSISTENT = "position_consistent"
FIRST = "first_position_preference"


def merge(name: str, verdicts: list[Verdict]) -> list[Verdict]:
    """One verdict per prompt, sorted by prompt id.

    A judge of both orders has two lines on a prompt; their mean is the prompt's preference, and the prompt is the
    unit of everything after. In such a row a prompt without a verdict in every order is missing: the order that is
    left would bring its position bias along. Rows with one line a prompt stay as they are. Raises IntegrityError for
    two verdicts on a prompt in the same order.
    """
    prompts: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        prompts[str(verdict["prompt_id"])].append(verdict)
    _refuse_repeats(name, prompts)
    n_orders = max(map(len, prompts.values()), default=1)
    return [_merged(prompts[prompt], n_orders) for prompt in sorted(prompts)]


def _refuse_repeats(name: str, prompts: dict[str, list[Verdict]]) -> None:
    repeated = [prompt for prompt, lines in sorted(prompts.items()) if _most_in_one_order(lines) > 1]
    if repeated:
        raise IntegrityError(
            f'{name} has {_most_in_one_order(prompts[repeated[0]])} verdicts on prompt "{repeated[0]}"'
            + (f" and repeats {len(repeated) - 1} more prompts." if len(repeated) > 1 else "."),
            "a row has one verdict per prompt and order; averaging reruns would count some prompts twice",
        )


def _most_in_one_order(lines: list[Verdict]) -> int:
    orders = [line.get("order") for line in lines]
    return max(orders.count(order) for order in orders)


def _merged(lines: list[Verdict], n_orders: int) -> Verdict:
    lines = sorted(lines, key=lambda line: str(line.get("order")))
    judged = {FIRST: _mean(first_shown_preference(line) for line in lines)}
    if n_orders == 1:
        return lines[0] | judged
    preferences = [float(line["preference"]) for line in lines if line.get("preference") is not None]
    complete = len(preferences) == n_orders
    return lines[0] | {
        "preference": fmean(preferences) if complete else None,
        "score": _mean(line.get("score") for line in lines),
        FIRST: judged[FIRST] if complete else None,
        CONSISTENT: len({_side(value) for value in preferences}) == 1 if complete else None,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _side(preference: float) -> int:
    return (preference > 0.5) - (preference < 0.5)
