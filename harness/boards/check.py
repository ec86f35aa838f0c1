"""``leaderboard check``: does a board still follow from its evidence? Everything is computed anew and compared.

Digests, estimates, comparison and ranks from the verdicts; settings of trained rows from their manifests; the CSV and
Markdown tables from ``data.json``. Nothing is trusted but the evidence, and that only if its digests hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import verify
from harness.analysis import finished
from harness.board_evidence import Board
from harness.boards import recompute
from harness.errors import BridgebenchError
from harness.store import Problem


def run(board: Board) -> tuple[list[Problem], int]:
    """(problems, things checked). Raises BridgebenchError for a board without rows or evidence."""
    if not board.rows:
        raise BridgebenchError(f"{board.directory} has no rows, so there is nothing to check.")
    problems: list[Problem] = []
    checked = 0
    if (board.directory / "evidence").is_dir():
        problems, checked = verify.verify_evidence(board.directory)
    done = {name: row for name, row in board.rows.items() if not row.get("failed")}
    for name, row in done.items():
        problems += _row(board, name, row)
    for benchmark in board.benchmarks:
        problems += _comparison(board, list(done), benchmark)
    return problems + analyses(board) + _tables(board), checked + len(board.rows) + len(board.benchmarks) + 2


def _row(board: Board, name: str, row: dict[str, Any]) -> list[Problem]:
    problems = _differences(f"row {name}", row, recompute.training(board, name), "its manifests say", board)
    for number, benchmark in enumerate(board.benchmarks):
        said = row if number == 0 else (row.get("benchmarks") or {}).get(benchmark) or {}
        label = f"row {name}" if number == 0 else f"row {name} on {benchmark}"
        try:
            fresh = recompute.estimates(board, name, benchmark)
        except BridgebenchError as error:
            problems.append(Problem(label, error.message))
            continue
        problems += _differences(label, said, fresh, "the verdicts give", board)
    return problems


def _differences(label: str, said: dict[str, Any], fresh: dict[str, Any], source: str, board: Board) -> list[Problem]:
    found = []
    chosen = "board_file" in board.data  # a board of chosen columns leaves figures empty
    for key, value in fresh.items():
        if key not in said:
            if value is not None:
                found.append(Problem(f"{label}.{key}", "not on the board, which an earlier version built", fatal=False))
        elif isinstance(value, dict) and isinstance(said[key], dict):
            found += _differences(f"{label}.{key}", said[key], value, source, board)
        elif not verify.follows(said[key], value, chosen):
            found.append(Problem(f"{label}.{key}", f"the board says {_short(said[key])}, {source} {_short(value)}"))
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _comparison(board: Board, rows: list[str], benchmark: str) -> list[Problem]:
    primary = benchmark == board.primary
    said = board.data.get("comparison") if primary else (board.data.get("comparisons") or {}).get(benchmark)
    if not said or not rows:
        return [Problem(f"comparison on {benchmark}", "is not on the board", fatal=bool(rows))]
    seed = recompute.comparison_seed(board)
    verdicts = {name: board.verdicts(name, benchmark) for name in rows}
    fresh = recompute.comparison(verdicts, seed=seed, metric=said.get("metric"))
    problems = [
        Problem(f"comparison on {benchmark}.{key}", "differs from what the verdicts give")
        for key in ("ranks", "pairs", "smallest_detectable_difference")
        if not verify.same(said.get(key), verify.in_common(fresh[key], said.get(key)))
    ]
    for name in rows:
        row = board.rows[name] if primary else (board.rows[name].get("benchmarks") or {}).get(benchmark) or {}
        if row.get("rank") != fresh["ranks"].get(name):
            problems.append(
                Problem(
                    f"row {name}.rank", f"the board says {row.get('rank')}, the verdicts {fresh['ranks'].get(name)}"
                )
            )
    return problems


def analyses(board: Board) -> list[Problem]:
    """The analyses that the board names must be there and about its rows; their digests are the evidence's."""
    problems = []
    for kind, name in (board.data.get("analyses") or {}).items():
        said = finished.read(name, board.data["rows"], board.evidence)
        if said is None or not said["rows"] or said["analysis"] != kind:
            problems.append(Problem(f"analyses.{kind}", f"{name} is not among the evidence, or of no row of the board"))
    return problems


def _tables(board: Board) -> list[Problem]:
    """The tables are made from ``data.json`` alone, so they must be the same to the byte."""
    from harness.leaderboard import groups, tables

    described = {key: value for key, value in board.data.items() if key != "rows"}
    rows = board.data["rows"]
    text = tables.to_markdown(described, rows) + groups.to_markdown(described, rows)
    made = {"leaderboard.csv": tables.to_csv(described, rows), "leaderboard.md": text}
    return [
        Problem(name, "is not what data.json gives")
        for name, text in made.items()
        if not _says(board.directory / name, text)
    ]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode("utf-8", "surrogatepass")
