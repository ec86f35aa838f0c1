"""One door for rows: built-in task families, hub data sets and JSON Lines files, checked and in one shape.

Training rows carry ``messages`` that end with the assistant; preference rows ``prompt``, ``chosen`` and ``rejected``;
prompts ``messages`` that end with the user (and, for the rules judge, ``check``, ``part`` and ``family``).

Files and hub tables are read one row at a time: planning keeps a data set's digest and count (`survey`), and the rows
go to the store when a stage needs them (`write_rows`). Only their ids are held, to find one that stands twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from harness import files
from harness.config import DataSource
from harness.errors import ConfigError, did_you_mean

Format = Literal["sft", "preference", "prompts"]
HUB_PATTERN = re.compile(
    r"^hub:(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?)(@(?P<revision>(?!.*\.\.)[A-Za-z0-9._/-]+))?$"
)
BUILTIN = ("microtasks",)


@dataclass(frozen=True)
class Survey:
    """What planning needs to know of a data set: its content, and how many rows it has."""

    digest: str
    rows: int


def survey(source: DataSource, form: Format) -> Survey:
    """Read ``source`` once. Raises ConfigError naming the source and the row at fault."""
    counter = _Digest()
    for row in iterate_rows(source, form):
        counter.add(row)
    return Survey(counter.hexdigest(), counter.rows)


def write_rows(source: DataSource, form: Format, expected: Survey, path: Path) -> None:
    """Write the rows to ``path`` as JSON Lines. Raises ConfigError if they are no longer those of ``expected``."""
    files.write_jsonl_stream(path, _unchanged(iterate_rows(source, form), source, expected))


def _unchanged(rows: Iterable[dict[str, Any]], source: DataSource, expected: Survey) -> Iterator[dict[str, Any]]:
    counter = _Digest()
    for row in rows:
        counter.add(row)
        yield row
    if counter.hexdigest() != expected.digest:
        raise ConfigError(
            f"{source.source}, split {source.split}: the data changed between planning and reading.", "run again"
        )


def load_rows(source: DataSource, form: Format) -> list[dict[str, Any]]:
    """All rows of ``source``, for sets that are known to be small."""
    return list(iterate_rows(source, form))


def iterate_rows(source: DataSource, form: Format) -> Iterator[dict[str, Any]]:
    """The rows of ``source`` in the shape ``form``. Raises ConfigError naming the source and the row at fault."""
    seen: set[str] = set()
    for number, row in enumerate(_raw_rows(source, form)):
        shaped = shape_row(row, form, number, source)
        if shaped["id"] in seen:
            raise ConfigError(f'{source.source}, split {source.split}: the id "{shaped["id"]}" stands twice.')
        seen.add(shaped["id"])
        yield shaped
    if not seen:
        raise ConfigError(f"{source.source}, split {source.split}: the data set is empty.", "choose another split")


def _raw_rows(source: DataSource, form: Format) -> Iterable[dict[str, Any]]:
    if source.source.startswith("builtin:"):
        return _builtin(source, form)
    if source.source.startswith("hub:"):
        return _from_hub(source)
    return _from_file(source)


def content_digest(rows: Iterable[dict[str, Any]]) -> str:
    """SHA-256 over the rows' canonical JSON, in order."""
    counter = _Digest()
    for row in rows:
        counter.add(row)
    return counter.hexdigest()


class _Digest:
    """SHA-256 over rows as they come: their canonical JSON, a line break between two."""

    def __init__(self) -> None:
        self.rows = 0
        self.sha256 = hashlib.sha256()

    def add(self, row: dict[str, Any]) -> None:
        text = ("\n" if self.rows else "") + files.canonical_json(row)
        self.sha256.update(text.encode("utf-8", "surrogatepass"))
        self.rows += 1

    def hexdigest(self) -> str:
        return self.sha256.hexdigest()


def _builtin(source: DataSource, form: Format) -> list[dict[str, Any]]:
    from harness.data import microtasks

    name = source.source.removeprefix("builtin:")
    if name not in BUILTIN:
        raise ConfigError(f'there is no built-in data set "{name}".{did_you_mean(name, BUILTIN)}')
    splits = ("train", "preference", "dev", "eval")
    if source.split not in splits:
        raise ConfigError(
            f'{source.source} has no split "{source.split}".{did_you_mean(source.split, splits)}',
            f"it has {', '.join(splits)}",
        )
    if form != "prompts" and source.split in ("dev", "eval"):
        return microtasks.answered(source.split, form, rows=source.rows, seed=source.seed)  # type: ignore[arg-type]
    return microtasks.build(source.split, rows=source.rows, seed=source.seed)  # type: ignore[arg-type]


def _from_file(source: DataSource) -> Iterator[dict[str, Any]]:
    path = Path(source.source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f'the data source "{source.source}" is not a file.',
            "sources are builtin:microtasks, hub:org/name@revision or a JSON Lines file",
        )
    return islice(files.iterate_jsonl(path), source.rows)


def _from_hub(source: DataSource) -> Iterator[dict[str, Any]]:
    match = HUB_PATTERN.match(source.source)
    if match is None:
        raise ConfigError(f'"{source.source}" is not a hub reference.', "it looks like hub:org/name@revision")
    import datasets

    from harness.models import hub_faults

    with hub_faults(source.source):
        loaded = datasets.load_dataset(match["repo"], source.config, split=source.split, revision=match["revision"])
    return rows_of(loaded, source)


def rows_of(table: Any, source: DataSource) -> Iterator[dict[str, Any]]:
    """The first ``source.rows`` rows of a `datasets.Dataset` (memory-mapped), in an order shuffled by ``source.seed``
    if it is not 0. Raises ConfigError for a column that is not there.
    """
    for ours, theirs in source.columns.items():
        if theirs not in table.column_names:
            raise ConfigError(
                f'{source.source} has no column "{theirs}" (for {ours}).{did_you_mean(theirs, table.column_names)}'
            )
        table = table.rename_column(theirs, ours) if ours != theirs else table
    if source.seed:
        table = table.shuffle(seed=source.seed)
    if source.rows is not None:
        table = table.select(range(min(source.rows, len(table))))
    return (dict(row) for row in table)


def shape_row(row: dict[str, Any], form: Format, number: int, source: DataSource) -> dict[str, Any]:
    """One row with an id and checked columns; public shapes (from/value turns, instruction/output) are understood."""
    try:
        shaped = {"sft": _shape_sft, "preference": _shape_preference, "prompts": _shape_prompt}[form](row)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f'column "{error.args[0]}" is missing' if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"{source.source}, split {source.split}, row {number}: not a {form} row: {reason}.",
            "name the columns with columns: {ours: theirs}; ours are messages, prompt, chosen, rejected",
        ) from None
    return {"id": str(row.get("id") or row.get("prompt_id") or f"{source.split}-{number}"), **shaped}


def _shape_sft(row: dict[str, Any]) -> dict[str, Any]:
    if "messages" not in row and "conversations" not in row:
        user = "\n".join(text for text in (row["instruction"], row.get("input") or "") if text)
        return {"messages": [_turn("user", user), _turn("assistant", row["output"])]}
    messages = _turns(row.get("messages", row.get("conversations")))
    if not any(message["role"] == "assistant" for message in messages):
        raise ValueError("it has no assistant turn")
    while messages[-1]["role"] != "assistant":
        messages.pop()  # a user turn that nobody answered
    return {**_extra(row, "messages", "conversations"), "messages": messages}


def _shape_preference(row: dict[str, Any]) -> dict[str, Any]:
    chosen, rejected = row["chosen"], row["rejected"]
    prompt = row.get("prompt", row.get("conversations"))
    if isinstance(chosen, list):
        turns = _turns(chosen)
        prompt = turns[:-1] if len(turns) > 1 else prompt
    messages = [_turn("user", prompt)] if isinstance(prompt, str) else _turns(prompt)
    if messages[-1]["role"] != "user":
        raise ValueError("the prompt does not end with a user turn")
    pair = {"prompt": messages, "chosen": _answer(chosen), "rejected": _answer(rejected)}
    if pair["chosen"] == pair["rejected"]:
        raise ValueError("chosen and rejected are the same text, which prefers nothing")
    return {**_extra(row, "conversations", *pair), **pair}


def _shape_prompt(row: dict[str, Any]) -> dict[str, Any]:
    if "messages" in row:
        messages = _turns(row["messages"])
    else:
        messages = [_turn("user", row.get("prompt", row.get("instruction")))]
    if messages[-1]["role"] != "user":
        raise ValueError("the prompt does not end with a user turn")
    extra = _extra(row, "messages", "prompt")
    return {"part": "all", "family": "all", **extra, "messages": messages}


def _extra(row: dict[str, Any], *taken: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in (*taken, "id")}


ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


def _turns(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise ValueError("the conversation is empty")
    return [_turn(turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))) for turn in value]


def _turn(role: Any, content: Any) -> dict[str, str]:
    if role not in ROLES:
        raise ValueError(f'the role "{role}" is not known')
    if not isinstance(content, str):
        raise ValueError(f"the {role} turn holds no text")
    return {"role": ROLES[role], "content": content}


def _answer(value: Any) -> str:
    if isinstance(value, str):
        return value
    turn = value[-1] if isinstance(value, list) else value
    return _turn("assistant", turn.get("content", turn.get("value")))["content"]
