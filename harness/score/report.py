"""The rows on a screen of 80 columns: one table, then what is missing and how the figures were made."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.score.missing import NAMED

Row = dict[str, Any]

WIDTH = 80
NAME_WIDTH = 28


def text(rows: list[Row], benchmark: str) -> str:
    """The whole screen."""
    table = _ratings(rows) if any("score" in row for row in rows) else _rates(rows)
    below = [*_failures(rows), *_positions(rows), *_missing(rows), *_notes(rows), f"benchmark: {benchmark}"]
    return "\n".join([*table, "", *below])


def _rates(rows: list[Row]) -> list[str]:
    header = ["model", "n", "miss", "win rate", "95 %", "LC", "95 %"]
    body = [
        [
            _name(row["model"]),
            str(row["n"]),
            str(row["n_missing"]),
            _number(row["win_rate"]),
            _range(row["win_rate_low"], row["win_rate_high"]),
            _number(row["lc_win_rate"]),
            _range(row["lc_win_rate_low"], row["lc_win_rate_high"]),
        ]
        for row in rows
    ]
    return _aligned([header, *body])


def _ratings(rows: list[Row]) -> list[str]:
    header = ["model", "n", "failed", "score", "95 %", "turn 1", "turn 2"]
    body = [
        [
            _name(row["model"]),
            str(row["n"]),
            str(row["n_failed"]),
            _number(row["score"], 3),
            _range(row["score_low"], row["score_high"]),
            _number(row["turn_1"], 3),
            _number(row["turn_2"], 3),
        ]
        for row in rows
    ]
    return _aligned([header, *body])


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        (
            row[0].ljust(widths[0])
            + "".join("  " + value.rjust(width) for value, width in zip(row[1:], widths[1:], strict=True))
        ).rstrip()
        for row in cells
    ]


def _name(model: str) -> str:
    model = _plain(model)
    return model if len(model) <= NAME_WIDTH else model[: NAME_WIDTH - 12] + "..." + model[-9:]


def _plain(text: str) -> str:
    """Without control characters, which a file may hold and a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.1f}–{high:.1f}"


def _failures(rows: list[Row]) -> list[str]:
    return [
        line for row in rows if row["failed"] for line in _wrapped(f"FAILED {_plain(row['model'])}: {row['failed']}")
    ]


def _positions(rows: list[Row]) -> list[str]:
    """What the order of the outputs did, where it is known."""
    lines = []
    for row in rows:
        if row.get("first_position_rate") is not None:
            consistent = row.get("position_consistency")
            agreement = "" if consistent is None else f"both orders agree on {consistent:.1f} %; "
            first = f"the output shown first is preferred at {row['first_position_rate']:.1f} %"
            lines += _wrapped(f"position: {_plain(row['model'])}: {agreement}{first}")
    return lines


def _missing(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        for item in row["missing"][:NAMED]:
            part = f", part {item['part']}" if item["part"] else ""
            shown = item["item"] if len(item["item"]) <= 30 else item["item"][:27] + "..."
            lines += _wrapped(f"missing: {_plain(row['model'])}, {shown!r}{part}: {item['kind']}")
        if len(row["missing"]) > NAMED:
            lines.append(f"missing: {_plain(row['model'])}: {len(row['missing']) - NAMED} more; --json names all")
    return lines


def _notes(rows: list[Row]) -> list[str]:
    """Each note once, with the number of its rows where it is not for all."""
    counts = Counter(note for row in rows for note in dict.fromkeys(row["notes"]))
    lines = []
    for note, count in counts.items():
        lines += _wrapped(f"note: {note}" + ("" if count == len(rows) else f" ({count} of {len(rows)} rows)"))
    return lines


def _wrapped(line: str) -> list[str]:
    import textwrap

    return textwrap.wrap(line, WIDTH, subsequent_indent="      ", break_on_hyphens=False)
