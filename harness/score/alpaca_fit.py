"""AlpacaEval's length-controlled win rate for stored verdicts, with the files that its fit needs.

``df_gamed.csv`` holds the rows that anchor the length effect and each instruction's difficulty. It comes from
``--gamed`` and ``--difficulty``, or from the hub, as in the `alpaca_eval` package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import ConfigError
from harness.score.request import Request
from harness.stats import alpaca_lc, alpaca_lc_bootstrap
from harness.stats.alpaca_lc import Gamed

Array = np.ndarray
Line = dict[str, Any]

REPOSITORY = "tatsu-lab/alpaca_eval"
BASELINE = "gpt4_1106_preview"
"""The extra rows compare variants of this model with itself, so the fit is for it alone."""


@dataclass(frozen=True)
class Extra:
    """The fit's own files: the gamed rows, and difficulty (n_instructions,) in the benchmark's order."""

    gamed: Gamed
    difficulty: Array
    source: str


def load(request: Request) -> Extra | str:
    """The extra files, or the reason why there are none. Raises ConfigError for a file that is not one."""
    if request.difficulty and not request.gamed:
        raise ConfigError("--difficulty was given without --gamed.", "the fit needs the gamed rows too")
    if request.gamed:
        return _extra(request.gamed, request.difficulty, str(request.gamed))
    try:
        from huggingface_hub import hf_hub_download

        path = hf_hub_download(repo_id=REPOSITORY, filename="df_gamed.csv", repo_type="dataset")
    except ImportError:
        return "huggingface_hub is not installed"
    except (OSError, ValueError) as error:  # offline, gated, or moved
        return f"df_gamed.csv could not be fetched from the hub ({type(error).__name__})"
    return _extra(Path(path), None, f"the hub, {REPOSITORY}")


def _extra(gamed_path: Path, difficulty_path: Path | None, source: str) -> Extra:
    gamed = _columns(gamed_path, ("preference", "std_delta_len", "instruction_difficulty", "index"))
    if ((gamed["preference"] < 0) | (gamed["preference"] > 1)).any():
        raise ConfigError(f"{gamed_path}: a preference is outside 0 to 1.")
    rows = Gamed(gamed["preference"], gamed["std_delta_len"], gamed["instruction_difficulty"])
    by_instruction = _columns(difficulty_path, ("instruction_difficulty", "index")) if difficulty_path else gamed
    return Extra(rows, _difficulty(by_instruction, difficulty_path or gamed_path), source)


def _columns(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    import pandas as pd

    try:
        frame = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a table in CSV ({error}).") from None
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ConfigError(f"{path} has no column {missing[0]}.", f"needed: {', '.join(names)}")
    columns = {name: frame[name].to_numpy(np.float64) for name in names}
    if any(np.isnan(values).any() for values in columns.values()):
        raise ConfigError(f"{path} has an empty field.")
    return columns


def _difficulty(columns: dict[str, Array], path: Path) -> Array:
    index, first = np.unique(columns["index"].astype(int), return_index=True)
    if not np.array_equal(index, np.arange(len(index))):
        raise ConfigError(f"{path}: its index does not count the instructions from 0 without a gap.")
    return columns["instruction_difficulty"][first]


def fit(lines: list[Line], extra: Extra, request: Request) -> dict[str, Any]:
    """The length-controlled part of a row; None with a reason where the lines do not allow it.

    ``lines`` are in the order of the benchmark and have ``index`` where the join is the corrected one.
    """
    join = request.length_control or "corrected"
    why_not = _why_not(lines, extra, join)
    if why_not:
        return _without(why_not)
    arguments = _arguments(lines, extra, join)
    try:
        found = alpaca_lc.alpaca_length_controlled(*arguments, join=join)
    except ValueError as error:
        return _without(str(error))
    low, high = alpaca_lc_bootstrap.interval(found, *arguments, draws=request.lc_draws, seed=request.seed)
    return {
        "lc_win_rate": found.win_rate,
        "lc_win_rate_low": low,
        "lc_win_rate_high": high,
        "lc_reason": None,
        "lc_interval_note": f"percentile bootstrap over {len(lines)} instructions, {request.lc_draws} draws, "
        f"seed {request.seed}, C held; {alpaca_lc_bootstrap.COVERAGE}",
        "lc_spread": found.spread,
        "length_control": join,
        "length_control_strength": found.strength,
        "length_control_coefficients": list(found.coefficients),
    }


def _without(reason: str) -> dict[str, Any]:
    rates = dict.fromkeys(("lc_win_rate", "lc_win_rate_low", "lc_win_rate_high"))
    return rates | {"lc_reason": reason, "length_control": None, "length_control_strength": None}


def _why_not(lines: list[Line], extra: Extra, join: str) -> str | None:
    if len(lines) > len(extra.difficulty):
        return f"{len(lines)} verdicts, but the fit's files have {len(extra.difficulty)} instructions"
    if any(line.get("length_model") is None or line.get("length_baseline") is None for line in lines):
        return "lengths are missing"
    if sum(line["preference"] is not None for line in lines) < 2:
        return "fewer than two verdicts"
    if join == "corrected" and any(line.get("index") is None for line in lines):
        return "it is not known which of the benchmark's instructions these are"
    return None


def _arguments(lines: list[Line], extra: Extra, join: str) -> tuple[Any, ...]:
    preference = np.array([np.nan if line["preference"] is None else line["preference"] for line in lines])
    lengths = (np.array([float(line[key]) for line in lines]) for key in ("length_model", "length_baseline"))
    # the official join goes by the rows' places, and looks at no instruction
    index = np.arange(len(lines)) if join == "official" else np.array([int(line["index"]) for line in lines])
    return preference, *lengths, index, extra.difficulty, extra.gamed


def note(row: dict[str, Any], extra: Extra) -> str:
    """How the length-controlled rate of a row was made, in one line."""
    if row["length_control"] is None:
        return f"no length-controlled win rate: {row['lc_reason']}"
    how = {
        "official": "difficulty by row position, as published; absent rows shift it",
        "corrected": "difficulty by instruction, mean over answered rows",
    }[row["length_control"]]
    strength = row["length_control_strength"]
    return (
        f"length control: AlpacaEval's fit, {how}; C = {strength:.4g}, held in the bootstrap; files of {extra.source}"
    )
