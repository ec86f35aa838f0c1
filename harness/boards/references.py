"""Published leaderboards as reference tables: figures that others measured, never mixed with ours."""

from __future__ import annotations

import csv
import importlib.metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.boards.board_file import ReferenceTable
from harness.errors import ConfigError, EnvironmentFault, did_you_mean

# AlpacaEval's column → ours
COLUMNS = {
    "win_rate": "win_rate",
    "length_controlled_winrate": "lc_win_rate",
    "standard_error": "standard_error",
    "avg_length": "mean_length",
    "n_total": "n",
}


def table(wanted: ReferenceTable) -> dict[str, Any]:
    """``{name, source, note, rows}`` for a board's ``reference_tables``. Raises ConfigError for unknown rows."""
    path, origin = _locate(wanted.source)
    with path.open(encoding="utf-8", newline="") as handle:
        found = [_row(line) for line in csv.DictReader(handle)]
    by_name = {row["row"]: row for row in found}
    if wanted.rows is not None:
        for name in wanted.rows:
            if name not in by_name:
                raise ConfigError(f'{wanted.source} has no row "{name}".{did_you_mean(name, by_name)}')
        found = [by_name[name] for name in wanted.rows]
    order = sorted(found, key=lambda row: -(row.get("lc_win_rate") or row.get("win_rate") or 0.0))
    return {
        "name": wanted.name or path.stem.removesuffix("_leaderboard"),
        "source": origin,
        "note": "not measured here",
        "rows": order[: wanted.top],
    }


def _row(line: dict[str, str | None]) -> dict[str, Any]:
    name = line.get("") or line.get("row") or line.get("model") or next(iter(line.values()))
    figures = {ours: _number(line.get(theirs) or line.get(ours)) for theirs, ours in COLUMNS.items()}
    return {"row": str(name), **{key: value for key, value in figures.items() if value is not None}}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text not in (None, "") else None
    except ValueError:
        return None


def _locate(source: str) -> tuple[Path, str]:
    if not source.startswith("alpaca_eval:"):
        path = Path(source).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no reference table {source}.", "a CSV file, or alpaca_eval:FOLDER/NAME")
        return path, path.name
    package = find_spec("alpaca_eval")
    if package is None or not package.submodule_search_locations:
        raise EnvironmentFault("the package alpaca-eval is missing.", "pip install 'bridgebench[alpaca-eval]'")
    folder = Path(next(iter(package.submodule_search_locations))) / "leaderboards"
    known = {str(each.relative_to(folder)).removesuffix("_leaderboard.csv"): each for each in folder.rglob("*.csv")}
    name = source.removeprefix("alpaca_eval:")
    if name not in known:
        raise ConfigError(
            f'alpaca-eval ships no leaderboard "{name}".{did_you_mean(name, known)}', ", ".join(sorted(known))
        )
    return known[name], f"alpaca-eval {importlib.metadata.version('alpaca-eval')}, leaderboards/{known[name].name}"
