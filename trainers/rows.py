"""Chat rows in a JSON Lines file, read one at a time and checked; every complaint names the row.

A demonstration carries ``messages`` with an assistant turn at the end, a preference row ``prompt``, ``chosen`` and
``rejected``, a prompt ``messages`` that end with the user.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from trainers.errors import TrainerError

Messages = list[dict[str, str]]
Row = dict[str, Any]
COLUMNS = {"sft": ("messages",), "preference": ("prompt", "chosen", "rejected"), "prompts": ("messages",)}

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def count_rows(path: Path) -> int:
    """Lines that hold something. Raises TrainerError if the file cannot be read or is empty."""
    try:
        with path.open("rb") as handle:
            rows = sum(not line.isspace() for line in handle)
    except OSError as error:
        raise TrainerError(f"the rows {path} cannot be read ({error.strerror}).") from None
    if not rows:
        raise TrainerError(f"{path} holds no rows.")
    return rows


def read_rows(path: Path, form: str) -> Iterator[Row]:
    """The rows, each with an ``id`` (its line number if it has none). Raises TrainerError naming the line or row."""
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.isspace():
                yield _checked(_parsed(line, path, number), form, number)


def _parsed(line: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError too
        raise TrainerError(f"{path.name}, line {number}: not valid JSON in UTF-8 ({error}).") from None


def _checked(row: Any, form: str, number: int) -> Row:
    if not isinstance(row, dict):
        raise TrainerError(f"row {number} is not a JSON object.")
    name = str(row.get("id", f"line {number}"))
    for column in COLUMNS[form]:
        if column not in row:
            raise TrainerError(f'row "{name}" has no "{column}".', f"a {form} row has {', '.join(COLUMNS[form])}")
    for column in {"messages", "prompt"} & row.keys():
        _check_messages(row[column], name, column)
    return {**row, "id": name}


def _check_messages(messages: Any, name: str, column: str) -> None:
    whole = isinstance(messages, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and _is_text(turn.get("content"))
        for turn in messages
    )
    if not whole or not messages:
        raise TrainerError(
            f'row "{name}": "{column}" is not a list of turns.', 'a turn is {"role": "user", "content": "..."}'
        )


def _is_text(value: Any) -> bool:
    """A text that UTF-8 can write; half of a surrogate pair is none."""
    return isinstance(value, str) and not LONE_SURROGATE.search(value)


def conversations(row: Row, form: str) -> list[Messages]:
    """The conversations to train on: one of a demonstration, two of a preference row. Raises TrainerError."""
    name = row["id"]
    if form == "sft":
        messages: Messages = row["messages"]
        if not any(turn["role"] == "assistant" for turn in messages):
            raise TrainerError(f'row "{name}" has no assistant turn, so there is nothing to train on.')
        if messages[-1]["role"] != "assistant":
            raise TrainerError(f'row "{name}" does not end with an assistant turn.')
        return [messages]
    if row["chosen"] == row["rejected"]:
        raise TrainerError(f'row "{name}": chosen and rejected are the same text.')
    if not all(_is_text(row[side]) for side in ("chosen", "rejected")):
        raise TrainerError(f'row "{name}": chosen and rejected must be texts, the assistant\'s last turn.')
    return [[*row["prompt"], {"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")]


def in_batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """``rows`` in lists of ``size``; the last may be shorter."""
    while batch := list(islice(rows, size)):
        yield batch


@contextlib.contextmanager
def naming(row: str) -> Iterator[None]:
    """Put the row's name before what a TrainerError says."""
    try:
        yield
    except TrainerError as error:
        raise TrainerError(f'row "{row}": {error.message}', error.hint, error.exit_code) from None
