"""The claims report for people: Markdown, a page of the board's site, and the table on the terminal."""

from __future__ import annotations

from typing import Any

from harness.claims.effects import ALL
from harness.claims.report import Report
from harness.leaderboard import display

COLUMNS = ("Claim", "Cell against baseline", "Effect", "95 % interval", "p", "p (Holm)", "Seeds", "n", "Verdict")


def markdown(made: Report) -> str:
    """``claims.md``."""
    lines = [f"# Claims on {made['board']}", "", *_summary(made), ""]
    for part in dict.fromkeys(line["part"] for line in made["claims"]):
        lines += [f"## {_heading(part)}", "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(cells(line)) for line in made["claims"] if line["part"] == part]
        lines += ["", *_reasons(made, part)]
    return "\n".join([*lines, *_named(made), "", "## What this does not tell", "", *_bullets(made["cannot_tell"]), ""])


def _summary(made: Report) -> list[str]:
    return [f"- **({item['claim']})** {item['statement']}: **{item['verdict']}**." for item in made["summary"]]


def _heading(part: str) -> str:
    return "All instructions" if part == ALL else f"Part {part}"


def _reasons(made: Report, part: str) -> list[str]:
    told = [f"{line['treatment']}: {line['why']}" for line in made["claims"] if line["part"] == part and line["why"]]
    return [*_bullets(told), ""] if told else []


def _bullets(texts: list[str]) -> list[str]:
    return [f"- {' '.join(text.split())}" for text in texts]


def _row(values: Any) -> str:
    return f"| {' | '.join(str(value).replace('|', '/') for value in values)} |"


def cells(line: dict[str, Any]) -> list[str]:
    """One test as the table shows it: points with one decimal, correlations with three."""
    digits = 3 if line["claim"] == "c" else 1
    return [
        line["claim"],
        f"{line['treatment']} − {line['control']}"
        if line["claim"] != "c"
        else f"{line['control']} ~ {line['treatment']}",
        number(line["effect"], digits),
        display.NOTHING if line["low"] is None else f"{number(line['low'], digits)} to {number(line['high'], digits)}",
        display.p_value(line["p_value"]),
        display.p_value(line["p_holm"]),
        str(line["seeds"]),
        str(line["n"]),
        line["verdict"],
    ]


def number(value: float | None, digits: int) -> str:
    """``+3.1``, ``−0.4`` or a dash."""
    return display.NOTHING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _named(made: Report) -> list[str]:
    named, record = made["named"], made["registration"]
    lines = [
        "## Named before the run",
        "",
        f"- Baseline {named['baseline']}, low learning rate {_cell(named['low_learning_rate'])}, primary cells "
        f"{', '.join(_cell(names) for names in named['primary'])}, each then {made['preference_stage']}; metric "
        f"{named['metric'].replace('_', ' ')} on {made['benchmark']}; smallest effect of interest "
        f"{named['smallest_effect']:g} points.",
    ]
    lines += [f"- {_picked(pick)}" for pick in made["selection"]]
    if made["values_analysis"] is not None:
        lines.append(f"- Claim (c) is read from the values analysis {made['values_analysis']}.")
    if record:
        before = {True: "before", False: "NOT before", None: "no verdict stands against"}[record["before_results"]]
        lines.append(f"- Recorded {record['recorded']}, {before} the first verdict; digest `{record['digest'][:16]}`.")
    return lines


def _cell(names: str | list[str]) -> str:
    return names if isinstance(names, str) else f"best of {', '.join(names)}"


def _picked(pick: dict[str, Any]) -> str:
    if pick["picked"] is None:
        return f"{pick['role']}: nothing picked, a candidate has no results on {pick['select_on']}."
    means = ", ".join(f"{name} {display.rate(mean)}" for name, mean in pick["means"].items())
    return f"{pick['role']}: {pick['picked']} picked on {pick['select_on']} ({means})."


def table(made: Report) -> str:
    """For the terminal, within 80 columns: a line per test on all instructions, then where the rest stands."""
    lines = [f"({item['claim']}) {item['statement']}: {item['verdict']}" for item in made["summary"]]
    for line in made["claims"]:
        if line["part"] == ALL:
            effect, interval = cells(line)[2:4]
            lines.append(
                f"    {line['treatment']}: {effect} [{interval}], p (Holm) {cells(line)[5]}, {line['verdict']}"
            )
            lines += [f"        {line['why']}"] if line["why"] else []
    if made["values_analysis"] is not None:
        lines.append(f"(c) is read from the values analysis {made['values_analysis']}")
    return "\n".join([*lines, *(f"note: {text}" for text in made["cannot_tell"])])


def page(made: Report, board: dict[str, Any], *, has_texts: bool = False) -> str:
    """``claims.html``, beside the board's index and, where ``has_texts``, its pages of completions."""
    from harness.leaderboard import pages

    parts = [
        {
            "heading": _heading(part),
            "lines": [
                {"cells": cells(line), "why": line["why"], "verdict": line["verdict"]}
                for line in made["claims"]
                if line["part"] == part
            ],
        }
        for part in dict.fromkeys(line["part"] for line in made["claims"])
    ]
    named = [text.removeprefix("- ") for text in _named(made)[2:]]
    return pages.render("claims", board, has_texts=has_texts, made=made, parts=parts, columns=COLUMNS, named=named)
