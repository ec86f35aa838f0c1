"""A stage's prompts in fixed chunks, read from the disk one chunk at a time.

A chunk is the unit that a local engine answers, redoes after a crash and seeds: the file's order and the chunk size
alone decide which prompts it holds. What is kept of the prompts is where in the file each begins.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from harness import files

Prompt = dict[str, Any]


class Chunks:
    """The chunks of a prompts file, by number; prompts to be answered at different temperatures are not mixed.

    Raises IntegrityError for a line that is not JSON; a torn last line is no prompt.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        groups: dict[float | None, array[int]] = {}
        for offset, prompt in zip(_offsets(path), files.iterate_jsonl(path), strict=False):
            groups.setdefault(prompt.get("temperature"), array("q")).append(offset)
        self.offsets = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, number: int) -> list[Prompt]:
        """The prompts of chunk ``number``."""
        with self.path.open("rb") as handle:
            return [_line_at(handle, offset) for offset in self.offsets[number]]


def _line_at(handle: BinaryIO, offset: int) -> Prompt:
    handle.seek(offset)
    prompt: Prompt = json.loads(handle.readline())
    return prompt


def _offsets(path: Path) -> Iterator[int]:
    """Where each line begins, in bytes."""
    offset = 0
    with path.open("rb") as handle:
        for line in handle:
            yield offset
            offset += len(line)
