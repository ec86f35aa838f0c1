"""Which data checkpoints are measured on, when the user names none: built-in tasks that no training split contains.

`builtin:microtasks` dev, answered: phrasings and values of the splits are disjoint, so dev shares nothing with what SFT
and DPO trained on; seed 1, so that it is not the dev set on which learning rates may have been chosen; never eval, on
which rows are ranked. With a recipe on other data nothing is guessed: what was held out, only its owner knows.
"""

from __future__ import annotations

from typing import Any

from harness.analysis.targets import Selection
from harness.config import DataSource
from harness.data import sources
from harness.errors import ConfigError
from harness.plan import Plan

Rows = list[dict[str, Any]]
PREFERENCE: sources.Format = "preference"
BUILTIN = "builtin:microtasks"
DEFAULT_SPLIT, DEFAULT_SEED, DEFAULT_ROWS = "dev", 1, 160


def choose(
    selection: Selection, data: str | None, split: str | None, seed: int | None, limit: int | None
) -> DataSource:
    """The data source of an analysis. Raises ConfigError where none is named and none is known to be held out."""
    if data is None:
        _require_builtin(selection)
        data = BUILTIN
    if data == BUILTIN:
        seed = DEFAULT_SEED if seed is None else seed
        return DataSource(source=data, split=split or DEFAULT_SPLIT, seed=seed, rows=limit or DEFAULT_ROWS)
    return DataSource(source=data, split=split or "test", seed=seed or 0, rows=limit)


def _require_builtin(selection: Selection) -> None:
    for plan in selection.plans:
        if other := [used.source for used, _ in _training_data(plan) if used.source != BUILTIN]:
            raise ConfigError(
                f"{plan.recipe.name} trains on {other[0]}, and what of it was held out is not known here.",
                "name the data:  --data SOURCE --split SPLIT",
            )


def pairs(selection: Selection, source: DataSource) -> tuple[Rows, list[str]]:
    """(preference rows that no selected recipe trained on, notes). Raises ConfigError if they are no pairs."""
    return _held_out(selection, source, sources.load_rows(source, "preference"))


def prompts_and_demonstrations(selection: Selection, source: DataSource) -> tuple[Rows, Rows, list[str]]:
    """(prompts to sample from, demonstrations, notes).

    Of demonstrations and pairs both sides are made: the prompt, and the demonstration or chosen response. Prompts alone
    give no demonstrations. The built-in dev split samples from all its prompts.
    """
    if source.source == BUILTIN and source.split in ("dev", "eval"):
        prompts, demonstrations = sources.load_rows(source, "prompts"), sources.load_rows(source, "sft")
    else:
        demonstrations = _demonstrations(source)
        prompts = [_prompt_row(row) for row in demonstrations] or sources.load_rows(source, "prompts")
    prompts, notes = _held_out(selection, source, prompts)
    demonstrations, more = _held_out(selection, source, demonstrations) if demonstrations else ([], [])
    return prompts, demonstrations, [*notes, *more]


def _demonstrations(source: DataSource) -> Rows:
    try:
        return sources.load_rows(source, "sft")
    except ConfigError:
        pass
    try:
        rows = sources.load_rows(source, "preference")
    except ConfigError:
        return []
    answers = ({"role": "assistant", "content": row["chosen"]} for row in rows)
    return [{"id": row["id"], "messages": [*row["prompt"], answer]} for row, answer in zip(rows, answers, strict=True)]


def _prompt_row(row: dict[str, Any]) -> dict[str, Any]:
    return {"part": "all", "family": "all", **row, "messages": row["messages"][:-1]}


def _held_out(selection: Selection, source: DataSource, rows: Rows) -> tuple[Rows, list[str]]:
    """Rows whose prompt stands in no selected recipe's training data. Raises ConfigError where none is left."""
    seen = _trained_prompts(selection, source)
    left = [row for row in rows if _prompt(row) not in seen]
    if not left:
        raise ConfigError(
            f"{source.source}, split {source.split}: every prompt is also in the training data, nothing is held out.",
            "name other data with --data, --split or --data-seed",
        )
    dropped = len(rows) - len(left)
    note = f"{dropped} of {len(rows)} rows left out: their prompts are in the training data"
    return left, [note] if dropped else []


def _trained_prompts(selection: Selection, source: DataSource) -> set[str]:
    return {
        _prompt(row)
        for plan in selection.plans
        for used, shape in _training_data(plan)
        if used.source == source.source
        for row in sources.load_rows(used, shape)
    }


def _training_data(plan: Plan) -> list[tuple[DataSource, sources.Format]]:
    data = plan.recipe.data
    if data is None:
        return []
    return [(data.sft, "sft"), *([] if data.preference is None else [(data.preference, PREFERENCE)])]


def _prompt(row: dict[str, Any]) -> str:
    turns = row.get("prompt") or row["messages"]
    return "\n".join(turn["content"] for turn in turns if turn["role"] == "user")
