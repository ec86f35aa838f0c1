"""What has no verdict: counted by kind, named one by one, and when it fails a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]

ABSENT = "absent"
"""The files have no line at all where they have one for another model."""

NAMED = 20
"""So many are named on the screen; the JSON names all."""


@dataclass(frozen=True)
class Missing:
    """Failed or absent verdicts of one row among ``expected`` ones."""

    expected: int
    items: list[dict[str, str]]
    """``{"item", "kind"}``, with ``turn`` or ``order`` where the item has several verdicts."""

    @property
    def by_kind(self) -> dict[str, int]:
        """How many of each kind."""
        return dict(sorted(Counter(item["kind"] for item in self.items).items()))

    def failure(self, limit: float) -> str | None:
        """Why the row fails, or None: more than the share ``limit`` is missing."""
        n = len(self.items)
        if not self.expected or n <= limit * self.expected:
            return None
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.by_kind.items())
        return f"{n} of {self.expected} verdicts are missing ({kinds}); the limit is {100 * limit:g} %"


Unit = tuple[str, str]


def find(lines: list[Line], units: Collection[Unit], *, by_order: bool = False) -> Missing:
    """``units`` are the (item, part) that the files have for any model; see `unit`."""
    failed = [_named(line, by_order) for line in lines if line["failure"] is not None]
    present = {unit(line, by_order) for line in lines}
    absent = [{"item": item, "part": part, "kind": ABSENT} for item, part in sorted(set(units) - present)]
    # battles repeat a unit, and then each line counts
    return Missing(max(len(lines), len(present | set(units))), failed + absent)


def expected(lines: list[Line], by_order: bool, parts: Collection[str] = ()) -> set[Unit]:
    """Every item that the files have for any model, in every part that any item has, and in ``parts``."""
    units = {unit(line, by_order) for line in lines}
    items = {item for item, _ in units}
    return {(item, part) for item in items for part in {part for _, part in units} | set(parts)}


def several_orders(lines: list[Line]) -> bool:
    """Whether any item of one model has more than one order, so that each order is a unit of its own."""
    items = [(line["model"], *unit(line, False)) for line in lines]
    return len(set(items)) < len(items)


def unit(line: Line, by_order: bool) -> Unit:
    """(item, part) of a verdict: its part is the turn, the game or the order; empty where an item has one verdict."""
    part = line.get("turn") or line.get("game") or (line.get("order") if by_order else "") or ""
    return str(line["prompt_id"]), str(part)


def _named(line: Line, by_order: bool) -> dict[str, str]:
    item, part = unit(line, by_order)
    return {"item": item, "part": part, "kind": str(line["failure"]), "source": line["source"]}
