"""Arena-Hard-Auto: v0.1 with 500 questions against gpt-4-0314, v2 with 750 (500 of them hard prompts).

Its questions are JSON Lines: v0.1 ``{question_id, turns: [{content}], …}``, v2 ``{uid, prompt, …}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.adapters import records
from harness.benchmarks.hub import HubFile
from harness.config import Benchmark
from harness.errors import ConfigError

REPOSITORY = "lmarena-ai/arena-hard-auto"
SIZES = {"v0.1": (500,), "v2": (750, 500)}
QUESTIONS = {
    "v0.1": HubFile(REPOSITORY, "data/arena-hard-v0.1/question.jsonl"),
    "v2": HubFile(REPOSITORY, "data/arena-hard-v2.0/question.jsonl"),
}
OUTPUTS = {
    "v0.1": HubFile(REPOSITORY, "data/arena-hard-v0.1/model_answer/gpt-4-0314.jsonl"),
    "v2": HubFile(REPOSITORY, "data/arena-hard-v2.0/model_answer/o3-mini-2025-01-31.jsonl"),
}


def questions(path: Path, version: str, benchmark: Benchmark) -> list[dict[str, Any]]:
    """One prompt a question, known by its own id."""
    read = _v2 if version == "v2" else _v01
    return [read(number, record, path) for number, record in enumerate(records.read(path))]


def _v01(number: int, record: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        (turn,) = record["turns"]
        return _row(record["question_id"], turn["content"], record.get("category"))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{path}, item {number}: not a question of Arena-Hard v0.1, which has a question_id and one turn."
        ) from None


def _v2(number: int, record: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        return _row(record["uid"], record["prompt"], record.get("category"))
    except KeyError:
        raise ConfigError(f"{path}, item {number}: not a question of Arena-Hard v2 (uid, prompt).") from None


def _row(identity: Any, text: str, category: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"id": str(identity), "messages": messages, "part": "all", "family": str(category or "all")}
