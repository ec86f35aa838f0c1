"""A finished analysis → its pictures in a directory, SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.analysis import credit, figures
from harness.analysis.credit import Credit
from harness.analysis.measure import Result
from harness.leaderboard import plots


def write(result: Result, directory: Path) -> list[Path]:
    """Write what this analysis can show; returns the files."""
    return {"rewards": _rewards, "values": _values, "drift": _drift}[result.report["analysis"]](result, directory)


def _rewards(result: Result, directory: Path) -> list[Path]:
    means = {row["row"]: row["margin"]["estimate"] for row in result.report["rows"]}
    paths = figures.save(figures.margin_distributions(result.pictures["margins"], means), directory, "margins")
    for number, name in enumerate(means):
        shown = [each for pair in result.pictures["credits"] for each in credits(pair, name)]
        paths += credit.write(shown, directory / f"credit-{number}", f"{name}: credit per token")
    return paths


def credits(pair: dict[str, Any], row: str) -> list[Credit]:
    """Chosen and rejected of one pair under ``row``, token by token."""
    found = []
    for name, side in pair["sides"].items():
        left_out = side["tokens"] - len(side["pieces"])
        cut = f", first {len(side['pieces'])} of {side['tokens']} tokens" if left_out else ""
        found.append(Credit(f"{pair['id']}, {name}{cut}", list(zip(side["pieces"], side["d"][row], strict=True))))
    return found


def _values(result: Result, directory: Path) -> list[Path]:
    shown = {row["row"]: row["trajectory"] for row in result.report["rows"]}
    return figures.save(figures.value_trajectories(shown), directory, "trajectories")


def _drift(result: Result, directory: Path) -> list[Path]:
    paths: list[Path] = []
    for rate, label in (("win_rate", "win rate"), ("pass_rate", "pass rate")):
        rows = [row for row in result.report["rows"] if (row["board"] or {}).get(rate) is not None]
        if not rows:
            continue
        points = [drift_point(row, rate) for row in rows]
        paths += figures.save(plots.drift_against_rate(points, label), directory, f"drift-{rate.replace('_', '-')}")
        swept = [sweep_point(row, rate) for row in rows if row["learning_rate"]]
        if len({point["learning_rate"] for point in swept}) > 1:
            paths += figures.save(plots.sweep_curves(swept, label), directory, f"sweep-{rate.replace('_', '-')}")
    return paths


def drift_point(row: dict[str, Any], rate: str) -> dict[str, Any]:
    """A row of the drift report as a point of `plots.drift_against_rate`."""
    kl, board = row["kl"], row["board"]
    return {
        "row": row["row"],
        "stage": row["preference_stage"],
        **{"kl": kl["estimate"], "kl_low": kl["low"], "kl_high": kl["high"]},
        **{"rate": board[rate], "rate_low": board.get(f"{rate}_low"), "rate_high": board.get(f"{rate}_high")},
    }


def sweep_point(row: dict[str, Any], rate: str) -> dict[str, Any]:
    """A row with ``learning_rate`` and its board's rate as a point of `plots.sweep_curves`."""
    board = row["board"]
    named = [row["objective"], row["divergence"], row["form"], row["beta"]]
    return {
        "series": " ".join(str(part) for part in named if part is not None),
        "stage": row["preference_stage"],
        "learning_rate": row["learning_rate"],
        "value": board[rate],
        "low": board.get(f"{rate}_low"),
        "high": board.get(f"{rate}_high"),
    }
