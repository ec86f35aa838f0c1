"""A board file and the boards it names → one board, from their verdicts alone: no model, no run.

Rows may only stand together where they answered the same prompts; a win rate against another baseline's completions
is left out, because it is another quantity.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import board_evidence as evidence
from harness import files, publish
from harness.board_evidence import Board
from harness.boards import recompute, references
from harness.boards.board_file import BoardFile
from harness.errors import ConfigError, did_you_mean
from harness.store import Store

AGAINST_BASELINE = ("win_rate", "lc_win_rate")
FROM_SOURCE = ("train_seconds", "train_tokens_per_second", "surviving_updates", "provenance", "external", "source")


@dataclass(frozen=True)
class Member:
    """One row of another board, under the name it has here."""

    name: str
    source: Board
    row: str


def build(file: BoardFile, store: Store, destination: Path | None = None) -> Path:
    """Build the board; ``destination`` gets a copy of the evidence too, so that it can be checked by itself.

    Raises ConfigError for rows that are not there or cannot be compared.
    """
    members = _members(file, store)
    if destination is None:
        return _write(file, members, store.root / "boards" / file.board)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".board-") as temporary:
        fresh = _write(file, members, Path(temporary) / "board")
        for member in members:
            publish.copy_row_evidence(member.source, member.row, fresh / "evidence")
        files.write_text(fresh / "board.yaml", _text(file))
        publish.swap(fresh, destination)
    return destination


def _write(file: BoardFile, members: list[Member], target: Path) -> Path:
    from harness import leaderboard
    from harness.leaderboard import published

    board, rows = content(file, members)
    made = [(row, member.source.evidence) for row, member in zip(rows, members, strict=True)]
    samples = {row["row"]: published.samples_of(board, row, behind) for row, behind in made}
    stages = {row["row"]: published.stages_of(row, behind) for row, behind in made}
    return leaderboard.build(board, rows, samples, target, stages=stages)


def _text(file: BoardFile) -> str:
    import yaml

    return yaml.safe_dump(file.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)


def _members(file: BoardFile, store: Store) -> list[Member]:
    found: list[Member] = []
    for selection in file.rows:
        source = evidence.board(selection.board, store)
        names = selection.rows or [name for name, row in source.rows.items() if not row.get("failed")]
        for name in [*names, *selection.rename]:
            source.row(name)
        found += [Member(selection.rename.get(name, name), source, name) for name in names]
    seen = [member.name for member in found]
    repeated = next((name for name in seen if seen.count(name) > 1), None)
    if repeated is not None:
        raise ConfigError(f'{file.board} has two rows called "{repeated}".', "rename: {theirs: ours} tells them apart")
    if not found:
        raise ConfigError(f"{file.board} has no rows.", "the boards it names have none that is finished")
    return found


def content(file: BoardFile, members: list[Member]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(description, rows) of the board."""
    benchmarks = file.benchmarks or members[0].source.benchmarks
    notes: list[str] = []
    comparisons, figures = {}, {}
    for benchmark in benchmarks:
        strangers = _strangers(members, benchmark, file)
        verdicts = {member.name: member.source.verdicts(member.row, benchmark) for member in members}
        metric = file.rank_by
        comparisons[benchmark] = recompute.comparison(verdicts, seed=file.seed, metric=metric)
        figures[benchmark] = {
            member.name: _figures(member, benchmark, comparisons[benchmark], strangers, file) for member in members
        }
        if strangers:
            notes.append(f"Another baseline on {benchmark}, so no win rate: {', '.join(sorted(strangers))}.")
    rows = [_row(each, benchmarks, {name: found[each.name] for name, found in figures.items()}) for each in members]
    return _board(file, members, benchmarks, comparisons, notes), rows


def _strangers(members: list[Member], benchmark: str, file: BoardFile) -> set[str]:
    """Rows that were judged against other completions than the first. Raises ConfigError for other prompts."""
    told = {member.name: recompute.answered(member.source, member.row, benchmark) for member in members}
    prompts, baseline = told[file.baseline] if file.baseline in told else next(iter(told.values()))
    others = [name for name, (digest, _) in told.items() if digest != prompts]
    if others:
        raise ConfigError(
            f"{file.board}: {', '.join(others)} answered other prompts than {next(iter(told))} on {benchmark}.",
            "rows can be compared on the same prompts only; evaluate them on one benchmark with one rows: and seed:",
        )
    return {name for name, (_, against) in told.items() if against != baseline}


def _figures(
    member: Member, benchmark: str, comparison: dict[str, Any], strangers: set[str], file: BoardFile
) -> dict[str, Any]:
    found = recompute.estimates(member.source, member.row, benchmark)
    hidden = set(AGAINST_BASELINE) if member.name in strangers else set()
    if file.columns is not None:
        hidden |= {"pass_rate", "win_rate", "lc_win_rate", "mean_score"} - set(file.columns)
    keys = member.source.stage_keys(member.row, benchmark)
    return {**_without(found, hidden), "rank": comparison["ranks"].get(member.name), "stage_keys": keys}


def _without(figures: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    """``figures`` with the metrics in ``hidden`` and their intervals left empty, in all parts."""
    names = {f"{metric}{end}" for metric in hidden for end in ("", "_low", "_high")}
    found = {key: None if key in names else value for key, value in figures.items()}
    for group in ("by_split", "by_family"):
        parts = found.get(group)
        if isinstance(parts, dict):
            found[group] = {name: _without(part, hidden) for name, part in parts.items()}
    return found


def _row(member: Member, benchmarks: list[str], figures: dict[str, Any]) -> dict[str, Any]:
    from harness.leaderboard import fields

    theirs = member.source.row(member.row)
    described = {key: theirs.get(key) for key in (*fields.DESCRIPTION, *FROM_SOURCE) if key in theirs}
    row = {**described, **figures[benchmarks[0]], "row": member.name, "failed": None}
    row["origin"] = f"{member.source.name}/{member.row}"
    return row | ({"benchmarks": figures} if len(benchmarks) > 1 else {})


def _board(
    file: BoardFile, members: list[Member], benchmarks: list[str], comparisons: dict[str, Any], notes: list[str]
) -> dict[str, Any]:
    first = members[0].source.data
    names = [member.name for member in members]
    baseline = file.baseline or (first.get("baseline") if first.get("baseline") in names else None)
    if file.baseline is not None and file.baseline not in names:
        raise ConfigError(f'{file.board}: there is no row "{file.baseline}".{did_you_mean(file.baseline, names)}')
    sources = list({id(member.source): member.source for member in members}.values())
    return {
        "board": file.board,
        "title": file.title or file.board,
        "description": file.description,
        "base": first.get("base"),
        "benchmark": benchmarks[0] if file.benchmarks else first.get("benchmark"),
        "benchmarks": benchmarks,
        "judge": first.get("judge"),
        "baseline": baseline,
        "created": max((str(each.data.get("created")) for each in sources if each.data.get("created")), default=None),
        "commits": sorted({commit for each in sources for commit in each.data.get("commits") or []}),
        "machine": first.get("machine"),
        "versions": first.get("versions"),
        "board_file": file.model_dump(mode="json"),
        "comparison": comparisons[benchmarks[0]],
        "comparisons": comparisons if len(benchmarks) > 1 else {},
        "reference_tables": [references.table(wanted) for wanted in file.references],
        "notes": list(dict.fromkeys([*(note for each in sources for note in each.data.get("notes") or []), *notes])),
    }
