"""Verdict lines → arrays in the order of their prompt ids, checked: what the estimates are computed from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    is_baseline: bool
    """Every verdict compares the baseline with itself, so its win rate is one half by definition."""

    def where(self, mask: Array) -> Table:
        """The prompts that ``mask``, (n_prompts,), selects."""
        columns = {name: value[mask] for name, value in self.__dict__.items() if isinstance(value, np.ndarray)}
        prompt_ids = [prompt for prompt, keep in zip(self.prompt_ids, mask, strict=True) if keep]
        return Table(prompt_ids=prompt_ids, is_baseline=self.is_baseline, **columns)


def read(verdicts: list[Verdict], row: str | None = None) -> Table:
    """Sort by prompt id and check. Raises IntegrityError for a repeated prompt or a value outside [0, 1]."""
    name = row or next((str(verdict["model"]) for verdict in verdicts if verdict.get("model")), "the row")
    counts = Counter(str(verdict["prompt_id"]) for verdict in verdicts)
    repeated = sorted(prompt for prompt, count in counts.items() if count > 1)
    if repeated:
        raise IntegrityError(
            f'{name} has {counts[repeated[0]]} verdicts on prompt "{repeated[0]}"'
            + (f" and repeats {len(repeated) - 1} more prompts." if len(repeated) > 1 else "."),
            "a row has one verdict per prompt; averaging reruns would count some prompts twice",
        )
    ordered = sorted(verdicts, key=lambda verdict: str(verdict["prompt_id"]))
    return _columns(name, ordered)


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
        is_baseline=bool(ordered)
        and all(v.get("model") is not None and v["model"] == v.get("baseline") for v in ordered),
    )


def _column(name: str, ordered: list[Verdict], key: str, valid: Callable[[float], bool]) -> Array:
    values = np.full(len(ordered), np.nan)
    for index, verdict in enumerate(ordered):
        value = verdict.get(key)
        if value is None:
            continue
        if not isinstance(value, int | float) or not math.isfinite(value) or not valid(value):
            raise IntegrityError(
                f'{name}, prompt "{verdict["prompt_id"]}": {key} is {value!r}.',
                "preferences and scores lie in 0 to 1, lengths are not negative; null marks a missing one",
            )
        values[index] = value
    return values


def _in_unit_interval(value: float) -> bool:
    return 0 <= value <= 1


def _is_count(value: float) -> bool:
    return value >= 0


def _labels(ordered: list[Verdict], key: str) -> Array:
    return np.array([str(verdict[key]) if verdict.get(key) is not None else "" for verdict in ordered], dtype=object)
