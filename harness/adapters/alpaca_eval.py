"""AlpacaEval's files: ``model_outputs.json`` and ``annotations.json``, so that its tools can read our rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files

ANNOTATOR = "bridgebench_rules"


def write_model_outputs(completions: list[dict[str, Any]], path: Path, *, generator: str) -> None:
    """instruction, output, generator and dataset of every completion; the instruction is the last user turn."""
    files.write_json(path, [_output(row, generator) for row in completions])


def _output(row: dict[str, Any], generator: str) -> dict[str, Any]:
    return {
        "instruction": _instruction(row),
        "output": row["text"],
        "generator": generator,
        "dataset": "bridgebench",
    }


def _instruction(row: dict[str, Any]) -> str:
    text: str = row["messages"][-1]["content"]
    return text


def write_annotations(
    verdicts: list[dict[str, Any]],
    completions: list[dict[str, Any]],
    baseline: list[dict[str, Any]],
    path: Path,
) -> None:
    """output_1 is the baseline's, output_2 the model's; preference 1 + p lies in [1, 2], null where it is missing."""
    own = {row["prompt_id"]: row for row in completions}
    other = {row["prompt_id"]: row for row in baseline}
    files.write_json(path, [_annotation(v, own[v["prompt_id"]], other[v["prompt_id"]]) for v in verdicts])


def _annotation(verdict: dict[str, Any], own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    preference = verdict["preference"]
    return {
        "instruction": _instruction(own),
        "output_1": other["text"],
        "generator_1": verdict["baseline"],
        "output_2": own["text"],
        "generator_2": verdict["model"],
        "dataset": "bridgebench",
        "annotator": ANNOTATOR,
        "preference": None if preference is None else 1 + preference,
    }
