"""Which stored verdicts a file holds, and their translation into our verdict lines.

Each line has ``model, baseline, judge, prompt_id, preference`` (0 to 1 for the model, or None) or ``rating``, and
``failure`` (`protocols.failures`) where there is no verdict; ``source`` names file and item. Beside these, where
the format has them: ``order``, ``game``, ``turn``, ``weight``, ``index`` (number of the instruction in its
benchmark), ``length_model``, ``length_baseline``, ``strict`` (whether the strict parser agrees).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.adapters import alpaca_eval, arena_hard, mt_bench, records
from harness.errors import ConfigError, IntegrityError
from harness.protocols import failures

Line = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A kind of file: its name for people, and the keys that every record must have."""

    name: str
    keys: frozenset[str]
    lines: Callable[[Line, str], Iterator[Line]]
    may_repeat: bool = False
    """Equal rows are no mistake, so duplicates cannot be told from them."""


def _own(record: Line, source: str) -> Iterator[Line]:
    for key, lowest, highest in (("preference", 0, 1), ("score", 0, 1), ("rating", 1, 10)):
        _check(record.get(key), key, lowest, highest, source)
    judged = any(record.get(key) is not None for key in ("preference", "score", "rating"))
    judge = record.get("judge") or record.get("judge_key")
    yield record | {"judge": judge, "failure": None if judged else own_failure(record), "source": source}


def _check(value: Any, key: str, lowest: float, highest: float, source: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and lowest <= value <= highest):
        raise IntegrityError(
            f"{source}: {key} is {value!r}.", f"it lies in {lowest} to {highest}; null marks a missing one"
        )


def own_failure(record: Line) -> str:
    """The kind of failure of one of our lines without a verdict."""
    return str(record.get("failure") or (failures.INFRASTRUCTURE if record.get("error") else failures.UNPARSED))


OWN = Format("bridgebench verdicts", frozenset({"prompt_id", "model", "preference"}), _own)
ALPACA = Format(
    "AlpacaEval annotations",
    frozenset({"generator_1", "generator_2", "instruction", "preference"}),
    alpaca_eval.annotation_lines,
)
PREFERENCES = Format("a table of preferences", frozenset({"model", "idx", "preference"}), alpaca_eval.table_lines)
JUDGMENTS = Format("Arena-Hard judgments", frozenset({"model", "games"}), arena_hard.judgment_lines)
BATTLES = Format("Arena-Hard battles", frozenset({"model_a", "model_b", "winner"}), arena_hard.battle_lines, True)
RATINGS = Format("MT-Bench judgments", frozenset({"model", "question_id", "turn", "judgment"}), mt_bench.judgment_lines)

FORMATS = (OWN, ALPACA, JUDGMENTS, BATTLES, RATINGS, PREFERENCES)
NEAR = {
    "AlpacaEval model outputs, which have no verdicts": {"instruction", "output", "generator"},
    "answers of a model, which have no verdicts": {"model_id", "choices"},
    "completions, which have no verdicts": {"prompt_id", "text", "finish_reason"},
}


def read(paths: list[Path]) -> tuple[Format, list[Line]]:
    """The format of all files, and their verdict lines in order.

    Raises ConfigError for a file of no known format, a record that is not like the file's first one, and files of
    different formats.
    """
    found: Format | None = None
    lines: list[Line] = []
    for path in paths:
        kind, more = _read_one(path)
        if found is not None and kind is not found:
            raise ConfigError(
                f"{path} holds {kind.name}, and {paths[0]} holds {found.name}.", "score files of one kind at a time"
            )
        found = kind
        lines += more
    if found is None:
        raise ConfigError("no file of verdicts was named.", "--verdicts FILE, once per file")
    return found, lines


def _read_one(path: Path) -> tuple[Format, list[Line]]:
    found = records.read(path)
    kind = _kind(found[0], path)
    lines: list[Line] = []
    for number, record in enumerate(found, 1):
        if not kind.keys <= record.keys():
            missing = ", ".join(sorted(kind.keys - record.keys()))
            raise ConfigError(f"{path}, item {number}: not one of {kind.name}, as the first is: it has no {missing}.")
        lines += kind.lines(record, f"{path}, item {number}")
    return kind, lines


def _kind(record: Line, path: Path) -> Format:
    for kind in FORMATS:
        if kind.keys <= record.keys():
            return kind
    for name, keys in NEAR.items():
        if keys <= record.keys():
            raise ConfigError(f"{path} holds {name}.", "give the judge's file instead")
    raise ConfigError(
        f"{path}, item 1: its keys ({', '.join(sorted(map(str, record))[:8])}) are those of no known format.",
        "known: " + "; ".join(kind.name for kind in FORMATS),
    )
