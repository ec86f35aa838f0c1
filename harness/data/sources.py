"""One door for rows: built-in task families, hub data sets and JSON Lines files, checked and in one shape.

Training rows carry ``messages`` that end with the assistant; preference rows ``prompt``, ``chosen`` and ``rejected``;
prompts ``messages`` that end with the user (and, for the rules judge, ``check``, ``part`` and ``family``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from harness import files
from harness.config import DataSource
from harness.errors import ConfigError, did_you_mean

Format = Literal["sft", "preference", "prompts"]
HUB_PATTERN = re.compile(
    r"^hub:(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?)(@(?P<revision>[A-Za-z0-9._/-]+))?$"
)
BUILTIN = ("microtasks",)


def load_rows(source: DataSource, form: Format) -> list[dict[str, Any]]:
    """The rows of ``source`` in the shape ``form``. Raises ConfigError naming the source and the row at fault."""
    if source.source.startswith("builtin:"):
        rows = _builtin(source, form)
    elif source.source.startswith("hub:"):
        rows = _from_hub(source)
    else:
        rows = _from_file(source)
    if not rows:
        raise ConfigError(f"{source.source}, split {source.split}: the data set is empty.", "choose another split")
    shaped = [shape_row(row, form, number, source) for number, row in enumerate(rows)]
    _refuse_duplicates(shaped, source)
    return shaped


def content_digest(rows: list[dict[str, Any]]) -> str:
    """SHA-256 over the rows' canonical JSON, in order."""
    return files.sha256_text("\n".join(files.canonical_json(row) for row in rows))


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


def _from_file(source: DataSource) -> list[dict[str, Any]]:
    path = Path(source.source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f'the data source "{source.source}" is not a file.',
            "sources are builtin:microtasks, hub:org/name@revision or a JSON Lines file",
        )
    rows = files.read_jsonl(path)
    return rows[: source.rows]


def _from_hub(source: DataSource) -> list[dict[str, Any]]:
    match = HUB_PATTERN.match(source.source)
    if match is None:
        raise ConfigError(f'"{source.source}" is not a hub reference.', "it looks like hub:org/name@revision")
    import datasets

    from harness.models import hub_faults

    with hub_faults(source.source):
        loaded = datasets.load_dataset(match["repo"], source.config, split=source.split, revision=match["revision"])
    return rows_of(loaded, source)


def rows_of(table: Any, source: DataSource) -> list[dict[str, Any]]:
    """The first ``source.rows`` rows of a `datasets.Dataset`, in an order shuffled by ``source.seed`` if it is
    not 0.
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
    return [dict(row) for row in table]


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


def _refuse_duplicates(rows: list[dict[str, Any]], source: DataSource) -> None:
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise ConfigError(f'{source.source}, split {source.split}: the id "{row["id"]}" stands twice.')
        seen.add(row["id"])
