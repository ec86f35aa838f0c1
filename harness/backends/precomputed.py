"""Stored outputs → completions: what somebody else's model said, matched to the benchmark's prompts.

Read are AlpacaEval's ``model_outputs.json`` (a list of ``{instruction, output, generator}``), the same as JSON Lines,
and ``completions.jsonl`` as written here (``prompt_id``, ``text``); compressed (``.gz``) or not.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

from harness import files
from harness.adapters import alpaca_eval
from harness.errors import ConfigError
from harness.stage import Stage

Line = dict[str, Any]
SHOWN = 60  # characters of an instruction in a message


def complete(stage: Stage, prompts: list[Line], out: Path) -> dict[str, Any]:
    """Write ``completions.jsonl`` of a precomputed stage; returns its summary.

    Raises ConfigError where the file has changed since the plan or does not fit ``prompts`` (see `match`).
    """
    source, allowed = Path(stage.execution["outputs"]), stage.identity.get("max_missing", 0.0)
    if files.sha256_file(source) != stage.identity["outputs_sha256"]:
        raise ConfigError(f"{source} was changed while this ran.", "run again")
    lines = read(source)
    if stage.execution.get("only_asked"):  # a reference answers the whole benchmark, of which a part may be asked
        names = {prompt["id"] for prompt in prompts} | {_text_name(alpaca_eval.instruction(p)) for p in prompts}
        lines = [line for line in lines if _line_name(line) in names]
    found = match(lines, prompts, source, allowed)
    rows = [_completion(stage, prompt, line) for prompt, line in zip(prompts, found, strict=True)]
    files.write_jsonl(out / "completions.jsonl", rows)
    lacking = sum(line is None for line in found)
    return {"prompts": len(rows), "missing": lacking, "generator": generator(found)}


def read(path: Path) -> list[Line]:
    """The lines of an outputs file. Raises ConfigError for what is none."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    except (ValueError, RecursionError, *files.DAMAGED_GZIP) as error:
        raise ConfigError(f"{path} is neither a JSON list nor JSON Lines: {error}.", FORMS) from None
    if not found:
        raise ConfigError(f"{path} holds no outputs.", FORMS)
    lines: list[Line] = [_plain(line) for line in found]
    for number, line in enumerate(lines):
        if not isinstance(line, dict) or not isinstance(line.get("output", line.get("text")), str):
            raise ConfigError(f"{path}, output {number}: it has no text.", FORMS)
        if "prompt_id" not in line and not isinstance(line.get("instruction"), str):
            raise ConfigError(f"{path}, output {number}: it names no instruction.", FORMS)
    return lines


def _plain(line: Any) -> Any:
    """An answer as Arena-Hard and MT-Bench store it (``choices``; v2 ``messages``) in our form; others as they are."""
    try:
        if "choices" in line and ("question_id" in line or "uid" in line):
            turns = [turn["content"] if isinstance(turn, dict) else turn for turn in line["choices"][0]["turns"]]
            name = str(line.get("question_id", line.get("uid")))
            return {"prompt_id": name, "text": turns[0], "turns": turns, "generator": line.get("model_id")}
        if "messages" in line and "uid" in line:
            said = line["messages"][-1]["content"]
            text = said["answer"] if isinstance(said, dict) else said
            return {"prompt_id": str(line["uid"]), "text": text, "generator": line.get("model")}
    except (KeyError, IndexError, TypeError):
        pass  # told below: it has no text
    return line


FORMS = (
    'outputs are a list of {"instruction": …, "output": …, "generator": …}, as AlpacaEval writes them,\n'
    'or JSON Lines of {"prompt_id": …, "text": …}, as bridgebench writes them'
)


def match(lines: list[Line], prompts: list[Line], source: Path, allowed: float = 0.0) -> list[Line | None]:
    """The line of each prompt, in the prompts' order; None where it lacks one.

    A line is known by its ``prompt_id``, or else by its instruction's text; where a benchmark asks the same text
    twice, the lines are taken in their order. ``allowed`` is the share of prompts that may be missing. Raises
    ConfigError naming what is unknown, duplicate or missing.
    """
    waiting: dict[str, list[Line]] = {}
    for line in lines:
        waiting.setdefault(_line_name(line), []).append(line)
    by_id = bool(lines) and "prompt_id" in lines[0]
    found: list[Line | None] = []
    for prompt in prompts:
        queue = waiting.get(prompt["id"] if by_id else _text_name(alpaca_eval.instruction(prompt)), [])
        found.append(queue.pop(0) if queue else None)
    _refuse_left(waiting, source, {_text_name(alpaca_eval.instruction(prompt)) for prompt in prompts}, prompts)
    lacking = [prompt["id"] for prompt, line in zip(prompts, found, strict=True) if line is None]
    if len(lacking) > allowed * len(prompts):
        share = math.ceil(1000 * len(lacking) / len(prompts)) / 1000
        raise ConfigError(
            f"{source} has no output for {len(lacking)} of {len(prompts)} prompts: {_some(lacking)}.",
            f"--max-missing {share:g} counts them as missing completions",
        )
    return found


def _refuse_left(waiting: dict[str, list[Line]], source: Path, texts: set[str], prompts: list[Line]) -> None:
    known = texts | {prompt["id"] for prompt in prompts}
    left = {name: queue for name, queue in waiting.items() if queue}
    duplicates = [_shown(queue[0]) for name, queue in left.items() if name in known]
    unknown = [_shown(queue[0]) for name, queue in left.items() if name not in known]
    if duplicates:
        raise ConfigError(
            f"{source} answers {len(duplicates)} prompts more than once: {_some(duplicates)}.",
            "which of them counts cannot be told; keep one output per prompt",
        )
    if unknown:
        raise ConfigError(
            f"{source} has {len(unknown)} outputs whose instruction the benchmark does not ask: {_some(unknown)}.",
            "give the outputs of this benchmark and split, with the instructions unchanged",
        )


def generator(lines: list[Any]) -> str | None:
    """The one name that the outputs give their model, if they do."""
    names = {line["generator"] for line in lines if line and isinstance(line.get("generator"), str)}
    return names.pop() if len(names) == 1 else None


def _line_name(line: Line) -> str:
    return str(line["prompt_id"]) if "prompt_id" in line else _text_name(line["instruction"])


def _text_name(text: str) -> str:
    """Files that passed through other tools differ in line ends and outer spaces, nothing else."""
    return "\n".join(text.split("\r\n")).strip()


def _shown(line: Line) -> str:
    name = " ".join(_line_name(line).split())
    return f'"{name[:SHOWN]}…"' if len(name) > SHOWN else f'"{name}"'


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _completion(stage: Stage, prompt: Line, line: Line | None) -> Line:
    text = "" if line is None else line.get("output", line.get("text"))
    given = line or {}
    return {
        "id": files.sha256_text(f"{stage.key}\n{prompt['id']}")[:16],
        "prompt_id": prompt["id"],
        "messages": prompt["messages"],
        "rendered_sha256": given.get("rendered_sha256"),
        "text": text,
        "raw_text": given.get("raw_text", text),
        "finish_reason": "error" if line is None else given.get("finish_reason"),  # null: nobody recorded it
        "prompt_tokens": given.get("prompt_tokens"),
        "completion_tokens": given.get("completion_tokens"),
        "sampling": given.get("sampling"),
        "model_key": given.get("model_key"),
        "error": "missing from the stored outputs" if line is None else given.get("error"),
    }
