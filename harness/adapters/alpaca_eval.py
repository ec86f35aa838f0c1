"""Completions and verdicts → AlpacaEval's ``model_outputs.json`` and ``annotations.json``, for its tools.

In its scale 1 means that output_1 (the baseline) is better, 2 that output_2 (the model) is, 1.5 a draw; 0
is its old word for a draw, which 1 + p never writes. A missing verdict stays null, which its tools drop and
ours count.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import ConfigError, IntegrityError

Line = dict[str, Any]


def write_model_outputs(completions: list[Line], path: Path, *, generator: str, dataset: str = "bridgebench") -> None:
    """Write ``[{instruction, output, generator, dataset}, …]`` in the completions' order."""
    files.write_text(path, _dump([_output(line, generator, dataset) for line in completions]))


def write_annotations(
    verdicts: list[Line],
    completions: list[Line],
    baseline: list[Line],
    path: Path,
    *,
    annotator: str | None = None,
) -> None:
    """Write one annotation per verdict, in the verdicts' order; ``generator_*`` are the rows' names.

    ``annotator`` defaults to the verdicts' ``judge_key``. Raises ConfigError for a verdict without its
    completions.
    """
    own = {line["prompt_id"]: line for line in completions}
    other = {line["prompt_id"]: line for line in baseline}
    annotations = []
    for verdict in verdicts:
        prompt = verdict["prompt_id"]
        if prompt not in own or prompt not in other:
            side = "the model" if prompt not in own else "the baseline"
            raise ConfigError(f'the verdict on prompt "{prompt}" has no completion of {side}.')
        annotations.append(_annotation(verdict, own[prompt], other[prompt], annotator))
    files.write_text(path, _dump(annotations))


def read_preferences(path: Path) -> list[float | None]:
    """Preferences for the model in [0, 1] of an ``annotations.json``, in its order; None where a verdict is
    missing.

    Raises IntegrityError for a preference outside their scale.
    """
    return [_from_their_scale(line.get("preference"), path, index) for index, line in enumerate(files.read_json(path))]


def instruction(line: Line) -> str:
    """The user's text; a conversation of several messages is written out with its roles."""
    messages = line["messages"]
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _output(line: Line, generator: str, dataset: str) -> Line:
    return {
        "instruction": instruction(line),
        "output": line["text"],
        "generator": generator,
        "dataset": line.get("family") or dataset,
    }


def _annotation(verdict: Line, own: Line, other: Line, annotator: str | None) -> Line:
    preference = verdict["preference"]
    return {
        "instruction": instruction(own),
        "output_1": other["text"],
        "generator_1": verdict["baseline"],
        "dataset": verdict.get("family") or "bridgebench",
        "output_2": own["text"],
        "generator_2": verdict["model"],
        "annotator": annotator or verdict["judge_key"],
        "preference": None if preference is None else 1.0 + preference,
        "raw_completion": verdict.get("raw_text"),
    }


def _from_their_scale(preference: Any, path: Path, index: int) -> float | None:
    if preference is None or preference != preference:
        return None
    value = 1.5 if preference == 0 else float(preference)
    if not 1 <= value <= 2:
        raise IntegrityError(f"{path}, annotation {index}: preference {preference} is not between 1 and 2.")
    return value - 1.0


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
