"""Analyses as stages. One pass per checkpoint and data, whatever beta; one pass of the reference for all of them.

tokenize ─► states(policy), states(reference) ─► rewards
tokenize ─► corrupt ─► states(policy), states(reference) ─► values
tokenize ─► drift(policy, reference)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness import files
from harness.config import DataSource
from harness.data import sources
from harness.stage import Stage
from harness.store import Store

MAX_LENGTH = 1024
CHUNK = 64
TOKENS = 4096


@dataclass(frozen=True)
class Settings:
    """What the passes of one analysis share."""

    device: str
    chunk_size: int = CHUNK
    max_tokens_per_microbatch: int = TOKENS

    def identity(self, **task: Any) -> dict[str, Any]:
        """The identity of a stage that runs a model: its task and how the passes are cut."""
        cut = {"chunk_size": self.chunk_size, "max_tokens_per_microbatch": self.max_tokens_per_microbatch}
        return {"task": task, **cut, "device": self.device}


def tokenised(source: DataSource, rows: list[dict[str, Any]], form: sources.Format, base: Stage, length: int) -> Stage:
    """The rows as ``base``'s tokenizer and template render them: those left after what was trained on is taken out."""
    return Stage(
        "tokenize",
        f"{source.source} {source.split}",
        {"rows_sha256": sources.content_digest(rows), "format": form, "max_length": length},
        {"model": base},
        execution={"rows": len(rows)},
        prepare=partial(_write_rows, rows),
    )


def _write_rows(rows: list[dict[str, Any]], directory: Path) -> None:
    files.write_jsonl(directory / "rows.jsonl", rows)


def corrupt(data: Stage, kinds: list[str], seed: int) -> Stage:
    """Good and corrupted continuations of ``data``."""
    return Stage(
        "analyze",
        "corrupted continuations",
        {"task": {"name": "corrupt", "kinds": kinds, "seed": seed}},
        {"data": data},
    )


def states(label: str, model: Stage, data: Stage, base: Stage, settings: Settings) -> Stage:
    """One pass of ``model`` over ``data``, which ``base`` rendered."""
    inputs = {"model": model, "data": data, "rendered_by": base}
    return Stage("analyze", f"{label}, states", settings.identity(name="states"), inputs)


def rewards(label: str, policy: Stage, reference: Stage, beta: float, *, pairs: bool) -> Stage:
    """Implicit rewards from two passes."""
    task = {"name": "rewards", "beta": beta, "pairs": pairs}
    return Stage("analyze", f"{label}, rewards", {"task": task}, {"policy": policy, "reference": reference})


def values(label: str, policy: Stage, reference: Stage, beta: float) -> Stage:
    """Values from two passes."""
    inputs = {"policy": policy, "reference": reference}
    return Stage("analyze", f"{label}, values", {"task": {"name": "values", "beta": beta}}, inputs)


def drift(label: str, model: Stage, reference: Stage, prompts: Stage, settings: Settings, **task: int) -> Stage:
    """KL of ``model`` from ``reference`` on its own samples."""
    inputs = {"model": model, "reference": reference, "prompts": prompts}
    return Stage("analyze", f"{label}, drift", settings.identity(name="drift", **task), inputs)


def needed(wanted: list[Stage], store: Store) -> list[Stage]:
    """``wanted`` and what they need, inputs first; behind a finished stage nothing is asked for.

    A checkpoint that is there does not need the data it was trained on.
    """
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.name in found:
            return
        if store.manifest(stage.kind, stage.key) is None:
            for each in stage.inputs.values():
                visit(each)
        found[stage.name] = stage

    for stage in wanted:
        visit(stage)
    return list(found.values())
