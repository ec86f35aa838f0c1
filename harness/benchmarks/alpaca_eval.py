"""AlpacaEval: 805 instructions from five sources; the reference of AlpacaEval 2 is gpt4_1106_preview.

Its public file is a list of ``{instruction, output, generator, dataset}``: the reference's outputs are in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.adapters import records
from harness.benchmarks.hub import HubFile
from harness.config import Benchmark
from harness.errors import ConfigError

SIZES = {"": (805,)}
QUESTIONS = {"": HubFile("tatsu-lab/alpaca_eval", "alpaca_eval_gpt4_baseline.json")}
OUTPUTS = QUESTIONS


def questions(path: Path, version: str, benchmark: Benchmark) -> list[dict[str, Any]]:
    """One prompt an instruction; ``index`` is its place, by which length control finds its difficulty."""
    return [_row(number, record, path) for number, record in enumerate(records.read(path))]


def _row(number: int, record: dict[str, Any], path: Path) -> dict[str, Any]:
    instruction = record.get("instruction")
    if not isinstance(instruction, str):
        raise ConfigError(f"{path}, item {number}: it has no instruction, so this is no file of AlpacaEval.")
    return {
        "id": f"alpaca_eval-{number:03d}",
        "index": number,
        "messages": [{"role": "user", "content": instruction}],
        "part": "all",
        "family": str(record.get("dataset") or "all"),
    }
