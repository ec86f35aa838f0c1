"""An analysis on the screen: at most 80 columns, what each column means below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

WIDTH = 80
Row = dict[str, Any]
Columns = dict[str, Callable[[Row], str]]


def text(report: dict[str, Any]) -> str:
    """The whole report."""
    lines = [_title(report), "", *table(report["rows"], COLUMNS[report["analysis"]]), ""]
    lines += MEANINGS[report["analysis"]]
    lines += _demonstrations(report["rows"])
    lines += _agreement(report.get("agreement"))
    lines += _reward_model(report.get("reward_model"))
    lines += _scores(report.get("against_scores"))
    lines += _comparisons(report.get("comparisons"))
    lines += [f"left out: {name}: {why.splitlines()[0]}" for name, why in report["missing"].items()]
    lines += [f"note: {note}" for note in report["notes"]]
    lines += [f"stage: {report['stage']}"]
    return "\n".join(wrapped for line in lines for wrapped in _folded(line))


def _title(report: dict[str, Any]) -> str:
    data = report["data"]
    beta = f", beta {report['beta']:g}" if "beta" in report else ""
    return (
        f"{report['analysis']} against {report['reference']}{beta}, on {data['source']} {data['split']} "
        f"(seed {data['seed']}), 95 % intervals clustered by example"
    )


def table(rows: list[Row], columns: Columns) -> list[str]:
    """Aligned lines; the row's name gives way where the figures need the room."""
    cells = [[column(row) for column in columns.values()] for row in rows]
    widths = [max(len(head), *(len(line[k]) for line in cells)) for k, head in enumerate(columns)]
    room = WIDTH - sum(widths) - 2 * len(widths)
    width = min(max(len(row["row"]) for row in rows), max(room, 8))
    head = "row".ljust(width) + "".join(f"  {name:>{size}}" for name, size in zip(columns, widths, strict=True))
    body = [
        _cut(row["row"], width).ljust(width)
        + "".join(f"  {cell:>{size}}" for cell, size in zip(line, widths, strict=True))
        for row, line in zip(rows, cells, strict=True)
    ]
    return [head, *body]


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def _folded(line: str) -> list[str]:
    import textwrap

    return [line] if len(line) <= WIDTH else textwrap.wrap(line, WIDTH, subsequent_indent="  ")


def interval(figures: Row | None, digits: int) -> str:
    """``62.5 [54.8, 69.6]``, the estimate alone where there is no interval."""
    if figures is None or figures["estimate"] is None:
        return "-"
    estimate = f"{figures['estimate']:.{digits}f}"
    if figures["low"] is None:
        return estimate
    return f"{estimate} [{figures['low']:.{digits}f}, {figures['high']:.{digits}f}]"


def error(figures: Row, digits: int = 2) -> str:
    """``1.23 ± 0.04``: the estimate and its clustered standard error."""
    if figures["standard_error"] is None:
        return f"{figures['estimate']:.{digits}f}"
    return f"{figures['estimate']:.{digits}f} ± {figures['standard_error']:.{digits}f}"


COLUMNS: dict[str, Columns] = {
    "rewards": {
        "accuracy": lambda row: interval(row["accuracy"], 1),
        "margin": lambda row: interval(row["margin"], 2),
        "log-prob": lambda row: f"{row['accuracy_logprob']['estimate']:.1f}",
        "pairs": lambda row: str(row["n"]),
    },
    "values": {
        "AUC of V": lambda row: interval(row["auc_value"], 2),
        "base V": lambda row: f"{row['auc_reference_logsumexp']['estimate']:.2f}",
        "log-prob": lambda row: f"{row['auc_logprob']['estimate']:.2f}",
        "V adds": lambda row: interval(row["added"], 3),
    },
    "drift": {
        "KL": lambda row: error(row["kl"]),
        "plain": lambda row: error(row["plain"]),
        "r-1-log r": lambda row: error(row["non_negative"]),
        "KL/token": lambda row: f"{row['kl_per_token']['estimate']:.3f}",
        "capped": lambda row: f"{row['capped']:.0f} %",
    },
}
MEANINGS = {
    "rewards": [
        "accuracy: pairs, of 100, whose chosen response has the higher implicit reward beta * sum d_t",
        "margin: mean of R(chosen) - R(rejected)",
        "log-prob: the same accuracy by the policy's log-prob alone, without a reference",
    ],
    "values": [
        "AUC of V: share of good continuations whose states have the higher V = beta (lse l - lse l0) than those of a "
        "corrupted continuation of the same prefix; 0.5 is chance",
        "base V, log-prob: the same by the base's own logsumexp and by the policy's log-prob",
        "V adds: AUC of these two and V together, less that of these two (cross-validated)",
    ],
    "drift": [
        "KL: nats per response, exact at each visited state, on the policy's own samples; ± standard error clustered "
        "by prompt; plain and r-1-log r estimate the same from the sampled tokens alone",
        "capped: share of samples that reached the length cap; the KL is that of the first tokens up to it",
    ],
}


def _demonstrations(rows: list[Row]) -> list[str]:
    """The drift report's second table."""
    shown = [row for row in rows if row.get("demonstrations")]
    if not shown:
        return []
    columns: Columns = {
        "d per response": lambda row: interval(row["demonstrations"]["d"], 2),
        "d per token": lambda row: interval(row["demonstrations"]["d_per_token"], 3),
    }
    return ["", "on held-out demonstrations: mean log pi - log pi_0", *table(shown, columns)]


def _agreement(found: dict[str, Any] | None) -> list[str]:
    if not found or not found["value"]:
        return []
    raw = {(each["a"], each["b"]): each for each in found["logsumexp"]}
    lines = ["", "agreement of states' values (Spearman; null: position-matched shuffle)"]
    for each in found["value"]:
        beside = raw[each["a"], each["b"]]
        lines.append(f"  {each['a']} ~ {each['b']}: V - V_0 {_rho(each)}; raw logsumexp {_rho(beside)}")
    return lines


def _rho(found: Row) -> str:
    if found["rho"] is None:
        return "does not vary"
    if found["low"] is None:
        return f"{found['rho']:.2f}"
    return (
        f"{found['rho']:.2f} [{found['low']:.2f}, {found['high']:.2f}], null "
        f"{found['null_mean']:.2f}{_given(found['given_base'])}"
    )


def _given(found: Row) -> str:
    """The partial correlation, given the base's own logsumexp."""
    if found["rho"] is None:
        return ", given V_0 -"
    ends = "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    return f", given V_0 {found['rho']:.2f}{ends}, null {found['null_mean']:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _reward_model(found: Row | None) -> list[str]:
    """The reward model's own accuracy, and its agreement with each row."""
    if not found:
        return []
    own = f"accuracy {interval(found['accuracy'], 1)}, margin {interval(found['margin'], 2)}, {found['n']} pairs"
    return ["", f"reward model {found['reference']}: {own}", *_agreements(found["agreement"])]


def _scores(found: Row | None) -> list[str]:
    return ["", "against the scores that were given", *_agreements(found)] if found else []


def _agreements(found: Row) -> list[str]:
    return [
        f"  {name}: prefers the same {interval(each['same_preference'], 1)} of 100, rank correlation of margins "
        f"{_number(each['spearman'])}, {each['n']} pairs"
        for name, each in found.items()
        if each is not None
    ]


def _comparisons(found: list[Row] | None) -> list[str]:
    if not found:
        return []
    lines = ["", "accuracy, row against row on the same pairs (points; p after Holm)"]
    for each in found:
        ends = "" if each["low"] is None else f" [{each['low']:+.1f}, {each['high']:+.1f}]"
        lines.append(f"  {each['a']} - {each['b']}: {each['difference']:+.1f}{ends}, p {each['p_holm']:.3g}")
    return lines
