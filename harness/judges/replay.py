"""The ``replay`` protocol: stored verdicts stand in for a judge, matched to the very outputs they were made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files
from harness.adapters import records
from harness.adapters.alpaca_eval import annotation_lines, instruction
from harness.errors import ConfigError
from harness.judges import verdicts
from harness.judges.question import Item, Line
from harness.judges.settings import ReplayJudge

NOT_STORED = "not_stored"
"""The kind of a verdict that the file does not have."""
TAKEN = (
    "id", "order", "turn", "preference", "score", "rating", "label", "weight", "strict", "label_mass", "raw_text",
    "logprobs", "label_logprobs", "finish_reason", "prompt_sha256", "answered_by", "judge_model", "prompt_tokens",
    "judge_completion_tokens", "unconfirmed_tokens", "tokens", "cost", "attempts", "failure", "error",
)  # fmt: skip


def digest(judge: ReplayJudge) -> str:
    """SHA-256 of the file. Raises ConfigError where it is not there."""
    path = Path(judge.verdicts).expanduser()
    if not path.is_file():
        raise ConfigError(f"judge.verdicts: there is no file {judge.verdicts}.")
    return files.sha256_file(path)


def verdict_lines(judge: ReplayJudge, items: list[Item], names: dict[str, Any]) -> list[Line]:
    """The stored verdicts of ``names["model"]``, in the prompts' order; what is not stored is missing.

    Raises ConfigError for a file that is neither our JSON Lines nor AlpacaEval's annotations.
    """
    stored = records.read(Path(judge.verdicts).expanduser())
    if {"instruction", "output_2", "preference"} <= stored[0].keys():
        annotations = {_place(record): record for record in stored}
        return [_annotated(item, annotations, names) for item in items]
    if not {"prompt_id", "model", "preference"} <= stored[0].keys():
        raise ConfigError(
            f"{judge.verdicts} holds neither verdicts of ours nor AlpacaEval's annotations.",
            "its first record has the keys " + ", ".join(sorted(stored[0])),
        )
    own: dict[str, list[Line]] = {}
    for line in stored:
        if line["model"] == names["model"]:
            own.setdefault(str(line["prompt_id"]), []).append(line)
    return [line for item in items for line in _own(item, own.get(item.prompt_id, []), names)]


def _own(item: Item, stored: list[Line], names: dict[str, Any]) -> list[Line]:
    fresh = verdicts.common(item, 1, names)
    fitting = [line for line in stored if _is_about(line, item)]
    if not fitting:
        return [_missing(fresh, "it was made for other outputs" if stored else "the file has none")]
    return [fresh | {key: line[key] for key in TAKEN if key in line} for line in fitting]


def _is_about(line: Line, item: Item) -> bool:
    """Whether a verdict of ours was made for these very texts; the rules judge's say so in their id."""
    if "outputs_sha256" in line:
        return bool(line["outputs_sha256"] == verdicts.outputs_digest(item))
    other = item.other["text"] if item.other is not None else ""
    named = f"{line.get('judge_key')}\n{item.prompt_id}\n{item.own[0]['text']}\n{other}"
    return bool(line.get("id") == files.sha256_text(named)[:16])


def _place(record: Line) -> tuple[str, str, str]:
    """Instruction, baseline's output, model's output."""
    return str(record["instruction"]), str(record.get("output_1")), str(record["output_2"])


def _annotated(item: Item, stored: dict[tuple[str, str, str], Line], names: dict[str, Any]) -> Line:
    """Known by instruction and both outputs, so a verdict on another output or another baseline is never taken."""
    fresh = verdicts.common(item, 1, names)
    other = str(item.other["text"]) if item.other is not None else "None"
    record = stored.get((instruction(item.own[0]), other, item.own[0]["text"]))
    if record is None:
        return _missing(fresh, "the file has none on these outputs")
    (line,) = annotation_lines(record, "replay")
    failed = line["failure"]
    return fresh | {
        "preference": line["preference"],
        "answered_by": line["judge"],
        "failure": failed,
        "error": f"{failed}: stored without a preference" if failed else None,
    }


def _missing(fresh: Line, why: str) -> Line:
    return fresh | {"failure": NOT_STORED, "error": f"{NOT_STORED}: {why}"}
