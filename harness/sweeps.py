"""Axes of a recipe → named cells: one variant or preference stage with ``sweep`` becomes one per combination of values.

``sft`` with ``sweep: {learning_rate: [1.0e-4, 2.0e-5]}`` is ``sft-lr1e-4`` and ``sft-lr2e-5``. Names depend on the
values alone, so adding a value to an axis renames nothing and reruns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from math import prod
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import did_you_mean

Axes = dict[str, list[Any]]
Settings = TypeVar("Settings", bound=BaseModel)
Item = TypeVar("Item", bound=BaseModel | None)

MOST_CELLS = 100_000
SHORT = {
    "learning_rate": "lr",
    "beta": "b",
    "epochs": "ep",
    "max_steps": "steps",
    "batch_size": "bs",
    "warmup_ratio": "wu",
    "weight_decay": "wd",
    "max_grad_norm": "gn",
    "label_smoothing": "ls",
    "max_weight": "mw",
    "alpha": "a",
}


def expand(name: str, settings: Settings, axes: Axes) -> dict[str, Settings]:
    """Name → settings for every combination of ``axes``, the last axis fastest; ``settings`` itself without axes.

    Raises ValueError for an axis that is no setting, a value that the setting refuses, or a repeated value.
    """
    if not axes:
        return {name: settings}
    check_axes(type(settings), axes)
    found: dict[str, Settings] = {}
    for cell in _cells(settings, axes):
        label = "-".join([name, *(_part(axis, getattr(cell, axis)) for axis in axes)])
        if label in found:
            raise ValueError(f"sweep: two combinations are both called {label}; each value may stand once")
        found[label] = cell
    return found


def expand_all(settings: dict[str, Item], axes: dict[str, Axes]) -> dict[str, Item]:
    """`expand` for several names at once; an entry that is None stays. Raises ValueError for two equal names."""
    found: dict[str, Item] = {}
    for name, item in settings.items():
        cells: dict[str, Any] = {name: item} if item is None else expand(name, item, axes.get(name, {}))
        if twice := found.keys() & cells.keys():
            raise ValueError(f"sweep: {min(twice)} would stand for two different cells; rename one")
        found |= cells
    return found


def check_axes(kind: type[BaseModel], axes: Axes) -> None:
    """Raise ValueError for an axis that ``kind`` has no setting for, or that has no values."""
    known = [name for name in kind.model_fields if name not in ("sweep", "objective")]
    for axis, values in axes.items():
        if axis not in known:
            raise ValueError(f'sweep: there is no setting "{axis}".{did_you_mean(axis, known)}')
        if not values:
            raise ValueError(f"sweep.{axis} has no values")


def _cells(settings: Settings, axes: Axes) -> Iterator[Settings]:
    if (count := prod(len(values) for values in axes.values())) > MOST_CELLS:
        raise ValueError(f"sweep: {count} combinations, and at most {MOST_CELLS} are laid out")
    plain = settings.model_dump(exclude={"sweep"}, exclude_unset=True)
    for values in product(*axes.values()):
        try:
            yield type(settings).model_validate({**plain, **dict(zip(axes, values, strict=True))})
        except ValidationError as error:
            raise ValueError(f"sweep: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    place = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    return f"{place}: {message} (it is {item.get('input')!r})" if place else message


def _part(axis: str, value: Any) -> str:
    if isinstance(value, str):
        return value.replace("_", "-")
    return f"{SHORT.get(axis, axis.replace('_', '-'))}{number(value)}"


def number(value: Any) -> str:
    """``1e-4``, ``0.25``, ``3``: the shortest text that names this very number, the same on every machine."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    exact = Decimal(repr(value)).normalize()
    if exact == 0 or Decimal("1e-2") <= abs(exact) < Decimal("1e6"):
        return f"{exact:f}"
    sign, digits, exponent = exact.as_tuple()
    tail = "".join(str(digit) for digit in digits[1:])
    mantissa = f"{'-' * sign}{digits[0]}" + (f".{tail}" if tail else "")
    return f"{mantissa}e{int(exponent) + len(digits) - 1}"
