"""AlpacaEval's ``model_outputs.json``, ``annotations.json`` and ``leaderboard.csv``: written for its tools, read
from them.

In its scale 1 means that output_1 (the baseline) is better, 2 that output_2 (the model) is, 1.5 a draw; 0
is its old word for a draw, which 1 + p never writes. A missing verdict stays null, which its tools drop and
ours count.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import files
from harness.adapters import records
from harness.errors import ConfigError, IntegrityError
from harness.protocols import failures

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


LEADERBOARD_COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)


def write_leaderboard(rows: list[Line], path: Path, *, mode: str = "community") -> None:
    """Write ``leaderboard.csv`` with the official columns, best first by length-controlled win rate.

    ``rows`` are those of ``score --json`` or a board (``model`` or ``row`` names them). A figure that a row does not
    have is an empty field, and a row without a win rate is left out: their tools take an empty one for a result.
    """
    shown = [row for row in rows if row.get("win_rate") is not None]
    shown.sort(key=lambda row: -(_first(row.get("lc_win_rate"), row["win_rate"])))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *LEADERBOARD_COLUMNS])
    for row in shown:
        figures = row | {
            "n_total": row["n"],
            "mode": mode,
            "avg_length": _rounded(row.get("mean_length")),
            "length_controlled_winrate": row.get("lc_win_rate"),
            "lc_standard_error": row.get("lc_spread"),
        }
        name = row.get("model") or row["row"]
        writer.writerow([name, *("" if (v := figures.get(key)) is None else v for key in LEADERBOARD_COLUMNS)])
    files.write_text(path, text.getvalue())


def read_model_outputs(path: Path) -> list[Line]:
    """Completions ``{prompt_id, index, messages, text, model, dataset}`` of a ``model_outputs.json`` (``.gz`` too), in
    its order. Raises ConfigError for an item without instruction or output.
    """
    return [_completion(line, index, path) for index, line in enumerate(records.read(path))]


def annotation_lines(record: Line, source: str) -> Iterator[Line]:
    """One of ``annotations.json`` as a verdict line; the row's place in its file is the caller's to count."""
    preference = _checked(record["preference"], source)
    yield {
        "model": str(record["generator_2"]),
        "baseline": str(record["generator_1"]),
        "judge": record.get("annotator"),
        "prompt_id": str(record["instruction"]),
        "preference": preference,
        "failure": None if preference is not None else _failure(record),
        "length_model": _length(record.get("output_2")),
        "length_baseline": _length(record.get("output_1")),
        "source": source,
    }


def table_lines(record: Line, source: str) -> Iterator[Line]:
    """A row of a table with columns model, idx, preference, len_model, len_baseline as a verdict line."""
    preference, index = _checked(record["preference"], source), record["idx"]
    if not isinstance(index, int):
        raise ConfigError(f"{source}: idx is {index!r}, not the number of an instruction.")
    yield {
        "model": str(record["model"]),
        "baseline": record.get("baseline"),
        "judge": record.get("judge"),
        "prompt_id": f"{index:06}",
        "index": index,
        "preference": preference,
        "failure": None if preference is not None else failures.UNPARSED,
        "length_model": record.get("len_model"),
        "length_baseline": record.get("len_baseline"),
        "source": source,
    }


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _rounded(length: float | None) -> int | None:
    return None if length is None else int(length)


def _length(output: Any) -> int | None:
    """In characters, as the official fit counts."""
    return len(output) if isinstance(output, str) else None


def _failure(record: Line) -> str:
    return failures.UNPARSED if record.get("raw_completion") else failures.INFRASTRUCTURE


def _completion(line: Line, index: int, path: Path) -> Line:
    if not isinstance(line.get("instruction"), str) or not isinstance(line.get("output"), str):
        raise ConfigError(f"{path}, item {index + 1}: model outputs have an instruction and an output, both texts.")
    return {
        "prompt_id": line["instruction"],
        "index": index,
        "messages": [{"role": "user", "content": line["instruction"]}],
        "text": line["output"],
        "model": line.get("generator"),
        "dataset": line.get("dataset"),
    }


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
    return _checked(preference, f"{path}, annotation {index}")


def _checked(preference: Any, source: str) -> float | None:
    """0 to 1 from their scale; their old 0 is a draw, and null and NaN are missing."""
    if preference is None or preference != preference:
        return None
    value = 1.5 if preference == 0 and preference is not False else preference
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 2:
        raise IntegrityError(f"{source}: preference {preference!r} is not between 1 and 2.")
    return float(value) - 1.0


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
