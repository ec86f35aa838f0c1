"""Verdict lines → arrays in the order of their prompt ids, checked: what the estimates are computed from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.aggregate import orders
from harness.errors import IntegrityError

Array = np.ndarray
Verdict = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """One row's verdicts as columns, each (n_prompts,); NaN marks what is missing, never a number in its
    place.
    """

    prompt_ids: list[str]
    preference: Array
    score: Array
    len_model: Array
    len_baseline: Array
    completion_tokens: Array
    truncated: Array
    empty: Array
    part: Array
    family: Array
    consistent: Array
    """1 where all orders of a prompt agree, 0 where they do not; NaN unless it was judged in several."""
    first_shown: Array
    """Preference for the output shown first, in [0, 1]; NaN where the order is not known."""
    is_baseline: bool
    """Every verdict compares the baseline with itself, so its win rate is one half by definition."""

    def where(self, mask: Array) -> Table:
        """The prompts that ``mask``, (n_prompts,), selects."""
        columns = {name: value[mask] for name, value in self.__dict__.items() if isinstance(value, np.ndarray)}
        prompt_ids = [prompt for prompt, keep in zip(self.prompt_ids, mask, strict=True) if keep]
        return Table(prompt_ids=prompt_ids, is_baseline=self.is_baseline, **columns)


def read(verdicts: list[Verdict], row: str | None = None) -> Table:
    """Sort by prompt id, average the orders of a prompt (`orders.merge`) and check.

    Raises IntegrityError for a prompt repeated in one order or a value outside [0, 1].
    """
    name = row or next((str(verdict["model"]) for verdict in verdicts if verdict.get("model")), "the row")
    for verdict in verdicts:
        _check(name, verdict)
    return _columns(name, orders.merge(name, verdicts))


def _check(name: str, verdict: Verdict) -> None:
    for key in ("preference", "score"):
        _value(name, verdict, key, _in_unit_interval)


def _columns(name: str, ordered: list[Verdict]) -> Table:
    return Table(
        prompt_ids=[str(verdict["prompt_id"]) for verdict in ordered],
        preference=_column(name, ordered, "preference", _in_unit_interval),
        score=_column(name, ordered, "score", _in_unit_interval),
        len_model=_column(name, ordered, "length_model", _is_count),
        len_baseline=_column(name, ordered, "length_baseline", _is_count),
        completion_tokens=_column(name, ordered, "completion_tokens", _is_count),
        truncated=_column(name, ordered, "truncated", _in_unit_interval),
        empty=_column(name, ordered, "empty", _in_unit_interval),
        part=_labels(ordered, "part"),
        family=_labels(ordered, "family"),
        consistent=_column(name, ordered, orders.CONSISTENT, _in_unit_interval),
        first_shown=_column(name, ordered, orders.FIRST, _in_unit_interval),
        is_baseline=bool(ordered)
        and all(v.get("model") is not None and v["model"] == v.get("baseline") for v in ordered),
    )


def _column(name: str, ordered: list[Verdict], key: str, valid: Callable[[float], bool]) -> Array:
    return np.array([_value(name, verdict, key, valid) for verdict in ordered], dtype=np.float64)


def _value(name: str, verdict: Verdict, key: str, valid: Callable[[float], bool]) -> float:
    """A verdict's figure, NaN where it has none."""
    value = verdict.get(key)
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or not math.isfinite(value) or not valid(value):
        raise IntegrityError(
            f'{name}, prompt "{verdict["prompt_id"]}": {key} is {value!r}.',
            "preferences and scores lie in 0 to 1, lengths are not negative; null marks a missing one",
        )
    return float(value)


def _in_unit_interval(value: float) -> bool:
    return 0 <= value <= 1


def _is_count(value: float) -> bool:
    return value >= 0


def _labels(ordered: list[Verdict], key: str) -> Array:
    return np.array([str(verdict[key]) if verdict.get(key) is not None else "" for verdict in ordered], dtype=object)
