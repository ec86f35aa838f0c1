"""A judge stage's inputs → what is judged, prompt by prompt."""

from __future__ import annotations

from typing import Any

from harness import files, specs
from harness.errors import ConfigError
from harness.judges.question import Item
from harness.stage import Stage
from harness.store import Store

Line = dict[str, Any]


def read(store: Store, inputs: dict[str, Stage]) -> list[Item]:
    """One item a prompt, in the prompts' order. Raises ConfigError for a prompt without a completion."""
    prompts = files.read_jsonl(specs.directory(store, inputs["prompts"]) / "rows.jsonl")
    turns = [inputs[role] for role in sorted(inputs) if role.startswith("completions")]
    own = [_by_prompt(store, stage) for stage in turns]
    other = _by_prompt(store, inputs["baseline"]) if "baseline" in inputs else None
    return [_item(prompt, own, other) for prompt in prompts]


def _by_prompt(store: Store, stage: Stage) -> dict[str, Line]:
    path = specs.directory(store, stage) / "completions.jsonl"
    return {row["prompt_id"]: row for row in files.iterate_jsonl(path)}


def _item(prompt: Line, own: list[dict[str, Line]], other: dict[str, Line] | None) -> Item:
    name = str(prompt["id"])
    if any(name not in completions for completions in own):
        raise ConfigError(f'prompt "{name}" has no completion of the model.')
    if other is not None and name not in other:
        raise ConfigError(f'prompt "{name}" has no completion of the baseline.')
    return Item(prompt, [completions[name] for completions in own], None if other is None else other[name])
