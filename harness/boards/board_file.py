"""A board as a small YAML file: which rows of which boards stand together, on what, in which columns, beside what.

board: my-board
title: Ours and theirs
rows: [quickstart/base, {board: quickstart, rows: [sft, sft+dpo]}, {board: ../other/board, rename: {sft: theirs}}]
rank_by: pass_rate
columns: [pass_rate, win_rate]
references: [{source: "alpaca_eval:data_AlpacaEval_2/weighted_alpaca_eval_gpt4_turbo", rows: [gpt4_1106_preview]}]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from harness import yaml_text
from harness.errors import ConfigError
from harness.strict import Count, Name, Strict

Metric = Literal["pass_rate", "win_rate", "lc_win_rate", "mean_score"]


class Selection(Strict):
    """Rows of one board; all of them where none is named. ``BOARD`` and ``BOARD/ROW`` are short for it."""

    board: str
    rows: list[str] | None = None
    rename: dict[str, Name] = {}
    """Theirs → what this board calls it."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        where, slash, row = value.rpartition("/")
        named = bool(slash) and not Path(value).is_dir()
        return {"board": where, "rows": [row]} if named else {"board": value}


class ReferenceTable(Strict):
    """Published figures to show beside the rows, marked as not measured here."""

    source: str
    """``alpaca_eval:FOLDER/NAME`` (a leaderboard that the installed package ships), or a CSV file."""
    name: str | None = None
    rows: list[str] | None = None
    top: Count | None = None
    """Only the so many best of what is left, by (length-controlled) win rate."""


class BoardFile(Strict):
    """Everything that decides what the board says; the figures come from the rows' verdicts."""

    board: Name
    title: str | None = None
    description: str = ""
    rows: Annotated[list[Selection], Field(min_length=1)]
    benchmarks: list[str] | None = None
    """The first decides ranks; default: those of the first row's board."""
    columns: list[Metric] | None = None
    baseline: str | None = None
    """Must be the row that the judges compared with; it is named here to be marked."""
    rank_by: Literal["pass_rate", "win_rate", "mean_score"] | None = None
    references: list[ReferenceTable] = []
    seed: int = 0


def load(path: Path) -> BoardFile:
    """Read a board file. Raises ConfigError that lists every mistake."""
    values, _ = yaml_text.parse(yaml_text.read(path), path.name)
    try:
        return BoardFile.model_validate(values)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError(f"{path.name} is no board: " + "; ".join(mistakes)) from None


def is_board_file(path: Path) -> bool:
    """Whether a YAML file is a board rather than a recipe: it names rows, where a recipe names benchmarks."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        values, _ = yaml_text.parse(yaml_text.read(path), path.name)
    except ConfigError:
        return False
    return isinstance(values, dict) and "board" in values
