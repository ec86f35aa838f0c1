"""The second turn of a benchmark: a prompts stage and a generate stage that follow the first answer.

tokenize ─► generate ─► tokenize (first answer and second request) ─► generate
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import ConfigError
from harness.judges.question import judged_text
from harness.stage import Stage
from harness.store import Store


def second_turn(first: Stage, rows: list[dict[str, Any]], digest: str) -> Stage:
    """The generate stage that answers the second request as ``first`` answered the first one.

    Raises ConfigError for stored outputs, which hold one answer a prompt.
    """
    prompts = first.inputs["prompts"]
    prepare = partial(_write_rows, first, rows)
    execution = {"rows": len(rows)}
    if first.identity["backend"] == "precomputed":
        raise ConfigError(
            f"{first.label}: stored outputs answer one turn, and this benchmark has two.",
            "give a checkpoint or an endpoint",
        )
    if prompts.kind == "tokenize":
        identity = prompts.identity | {"turn": 2, "rows_sha256": digest}
        inputs = {"model": prompts.inputs["model"], "answers": first}
        following = Stage("tokenize", f"{prompts.label}, turn 2", identity, inputs, execution, prepare)
    else:
        identity = {"turn": 2, "rows_sha256": digest}
        following = Stage("prompts", f"{prompts.label}, turn 2", identity, {"answers": first}, execution, prepare)
    label = f"{first.label}, turn 2"
    return Stage("generate", label, first.identity, first.inputs | {"prompts": following}, first.execution)


def _write_rows(first: Stage, rows: list[dict[str, Any]], out: Path) -> None:
    store = Store(out.parent.parent)
    path = store.path(first.kind, first.key) / "completions.jsonl"
    answers = {line["prompt_id"]: line for line in files.read_jsonl(path)}
    files.write_jsonl(out / "rows.jsonl", [_continued(row, answers[row["id"]]) for row in rows])


def _continued(row: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The conversation so far (without a reasoning trace, as chat templates drop it) and the second request."""
    said = {"role": "assistant", "content": judged_text(answer["text"])}
    asked = {"role": "user", "content": row["second_turn"]}
    return row | {"messages": [*row["messages"], said, asked]}
