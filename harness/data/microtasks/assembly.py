"""From families to rows: which family comes when, no task twice, in the shapes that stages read.

Row k of a family depends on the split, the seed and the family's rows before it, never on how many rows are
asked for: a smaller data set holds the first rows of each family of a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.data.microtasks import formats, held_out, language, letters, lists, numbers, retain, writing
from harness.data.microtasks.family import Family, Part, Task
from harness.data.microtasks.pools import Draw, Pool, Split
from harness.errors import ConfigError

VERSION = 1
DEFAULT_ROWS: dict[Split, int] = {"train": 384, "preference": 160, "dev": 300, "eval": 300}
# Shares of the parts in dev and eval; train and preference have `in` alone.
SHARES: dict[Part, float] = {"in": 0.6, "out": 0.2, "retain": 0.2}
ATTEMPTS = 5000

FAMILIES: tuple[Family, ...] = (
    *lists.FAMILIES,
    *letters.FAMILIES,
    *formats.FAMILIES,
    *numbers.FAMILIES,
    *language.FAMILIES,
    *writing.FAMILIES,
    *held_out.FAMILIES,
    *retain.FAMILIES,
)


@dataclass(frozen=True)
class Item:
    """A task with its place in a split and its prompt."""

    id: str
    family: Family
    task: Task
    prompt: str
    rejected: str


def assemble(split: Split, rows: int, seed: int) -> list[dict[str, Any]]:
    """``rows`` rows of ``split`` in its shape. Raises ConfigError where a family runs out of tasks."""
    shape = {"train": _sft_row, "preference": _preference_row}.get(split, _prompt_row)
    return [shape(item) for item in items(split, rows, seed)]


def assemble_answered(split: Split, form: str, rows: int, seed: int) -> list[dict[str, Any]]:
    """``rows`` tasks of the trained families in ``split`` as demonstrations or pairs, families taking turns."""
    shape = {"sft": _sft_row, "preference": _preference_row}[form]
    streams = [_stream(family, split, seed) for family in FAMILIES if family.part == "in"]
    return [shape(next(streams[number % len(streams)])) for number in range(rows)]


def items(split: Split, rows: int, seed: int) -> list[Item]:
    """The tasks of ``split`` in canonical order: part after part, families taking turns within a part."""
    found: list[Item] = []
    for part, count in part_sizes(split, rows).items():
        streams = [_stream(family, split, seed) for family in FAMILIES if family.part == part]
        found += [next(streams[number % len(streams)]) for number in range(count)]
    return found


def part_sizes(split: Split, rows: int) -> dict[Part, int]:
    """How many of ``rows`` each part has: the shares, rounded by largest remainder."""
    if split in ("train", "preference"):
        return {"in": rows}
    whole = {part: int(share * rows) for part, share in SHARES.items()}
    by_remainder = sorted(SHARES, key=lambda part: whole[part] - SHARES[part] * rows)
    for part in by_remainder[: rows - sum(whole.values())]:
        whole[part] += 1
    return whole


def _stream(family: Family, split: Split, seed: int) -> Iterator[Item]:
    """The family's different tasks in ``split``, one after another."""
    draw = Draw(f"microtasks/{VERSION}/{seed}/{split}/{family.name}")
    pool = Pool(split, draw)
    seen: set[tuple[Any, ...]] = set()
    for number in range(1_000_000):
        task = _new_task(family, pool, draw, seen)
        seen.add(task.values)
        prompt = draw.pick(family.phrasings[split]).format_map(task.fields)
        rejected = draw.pick(task.rejected) if task.rejected else ""
        yield Item(f"{split}-{family.name}-{number:03d}", family, task, prompt, rejected)


def _new_task(family: Family, pool: Pool, draw: Draw, seen: set[tuple[Any, ...]]) -> Task:
    for _ in range(ATTEMPTS):
        task = family.make(pool, draw)
        if task.values not in seen:
            return task
    raise ConfigError(
        f"builtin:microtasks, split {pool.split}: {family.name} has only {len(seen)} different tasks.",
        f"ask for fewer rows; the default is {DEFAULT_ROWS[pool.split]}",
    )


def _user(item: Item) -> list[dict[str, str]]:
    return [{"role": "user", "content": item.prompt}]


def _labels(item: Item) -> dict[str, Any]:
    return {"family": item.family.name, "part": item.family.part, "check": item.task.check}


def _sft_row(item: Item) -> dict[str, Any]:
    answer = {"role": "assistant", "content": item.task.chosen}
    return {"id": item.id, "messages": [*_user(item), answer], **_labels(item)}


def _preference_row(item: Item) -> dict[str, Any]:
    pair = {"chosen": item.task.chosen, "rejected": item.rejected}
    return {"id": item.id, "prompt": _user(item), **pair, **_labels(item)}


def _prompt_row(item: Item) -> dict[str, Any]:
    return {"id": item.id, "messages": _user(item), **_labels(item)}
