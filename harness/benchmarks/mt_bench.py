"""MT-Bench: 80 questions of two turns; a category decides the temperature of the answer and whether a reference helps
the judge.

Its questions are JSON Lines ``{question_id, category, turns: [first, second]}``, its reference answers a model's answer
file: ``{question_id, choices: [{turns: [first, second]}]}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.adapters import records
from harness.benchmarks import hub
from harness.benchmarks.hub import HubFile
from harness.config import Benchmark
from harness.errors import ConfigError
from harness.protocols.mt_bench import REFERENCE_CATEGORIES, TEMPERATURES

SIZES = {"": (80,)}
QUESTIONS = {"": HubFile("lmsys/mt-bench", "data/mt_bench/question.jsonl", "space")}
ANSWERS = HubFile("lmsys/mt-bench", "data/mt_bench/reference_answer/gpt-4.jsonl", "space")
OUTPUTS: dict[str, HubFile] = {}


def questions(path: Path, version: str, benchmark: Benchmark) -> list[dict[str, Any]]:
    """The first turns; ``second_turn`` follows the model's answer, ``reference`` guides the judge (both turns)."""
    rows = [_row(number, record, path) for number, record in enumerate(records.read(path))]
    wanted = {row["id"] for row in rows if row["family"] in REFERENCE_CATEGORIES and "reference" not in row}
    if not wanted:
        return rows
    answers = _answers(Path(benchmark.reference_answers).expanduser() if benchmark.reference_answers else None)
    if lacking := sorted(wanted - answers.keys()):
        raise ConfigError(f"the reference answers lack question {', '.join(lacking[:5])}.")
    return [row | ({"reference": answers[row["id"]]} if row["id"] in wanted else {}) for row in rows]


def _row(number: int, record: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        first, second = record["turns"]
        category = str(record["category"])
        row = {
            "id": str(record["question_id"]),
            "messages": [{"role": "user", "content": first}],
            "second_turn": second,
            "part": "all",
            "family": category,
            "temperature": TEMPERATURES[category],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}, item {number}: not a question of MT-Bench ({type(error).__name__}: {error}).",
            f"it has a question_id, two turns and a category of {', '.join(TEMPERATURES)}",
        ) from None
    reference = record.get("reference")
    complete = isinstance(reference, list) and len(reference) == 2 and category in REFERENCE_CATEGORIES
    return row | ({"reference": reference} if complete else {})


def _answers(path: Path | None) -> dict[str, list[str]]:
    path = path or hub.fetch(ANSWERS)
    if not path.is_file():
        raise ConfigError(f"benchmark.reference_answers: there is no file {path}.")
    found = {}
    for number, record in enumerate(records.read(path)):
        try:
            first, second = record["choices"][0]["turns"]
            found[str(record["question_id"])] = [first, second]
        except (KeyError, IndexError, TypeError, ValueError):
            raise ConfigError(f"{path}, item {number}: not an answer with two turns.") from None
    return found
