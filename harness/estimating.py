"""A judge stage's verdicts → what its row says, by the protocol's own estimator where it has one."""

from __future__ import annotations

from typing import Any

Line = dict[str, Any]
Estimates = dict[str, Any]


def of_row(verdicts: list[Line], settings: dict[str, Any]) -> Estimates:
    """Estimates of one row. ``settings``: an aggregate stage's identity (seed, draws and, of judges, the protocol).

    Arena-Hard's win rate weighs its games, MT-Bench's score is a mean of ratings of 1 to 10; both resample questions.
    The other figures are those of every benchmark.
    """
    from harness.aggregate import estimate

    protocol = settings.get("protocol")
    figures = estimate(verdicts, seed=settings["seed"], draws=settings["bootstrap_draws"])
    if protocol == "arena_hard":
        return figures | _weighted(verdicts, settings)
    if protocol == "mt_bench":
        return _without_passes(figures) | _rated(verdicts, settings)
    return figures


def _weighted(verdicts: list[Line], settings: dict[str, Any]) -> Estimates:
    from harness.adapters.verdict_files import OWN
    from harness.score import arena

    lines = [line | {"weight": line.get("weight") or 1} for line in verdicts]
    found = arena.estimator(_request(settings), OWN, {str(lines[0]["model"]): lines})(lines)
    kept = ("win_rate", "win_rate_low", "win_rate_high", "standard_error", "n_games")
    return {key: found[key] for key in kept if key in found}


def _rated(verdicts: list[Line], settings: dict[str, Any]) -> Estimates:
    from harness.score import ratings

    lines = [line | {"source": f'verdict "{line["id"]}"'} for line in verdicts]
    found = {key: value for key, value in ratings.estimate(lines, _request(settings)).items() if key != "notes"}
    missing = sum(line["rating"] is None for line in verdicts)
    return found | {"n_missing": missing, "n_failed": missing}


def _without_passes(figures: Estimates) -> Estimates:
    """A rating of 10 is not a pass: these figures are for verifiers."""
    kept: Estimates = {key: None if key.startswith("pass_rate") else value for key, value in figures.items()}
    for part in ("by_split", "by_family"):
        kept[part] = {name: _without_passes_of(row) for name, row in kept[part].items()}
    return kept


def _without_passes_of(row: Estimates) -> Estimates:
    return {key: None if key.startswith("pass_rate") else value for key, value in row.items()}


def _request(settings: dict[str, Any]) -> Any:
    from harness.score.request import Request

    name = settings["protocol"] + ("_v2" if settings.get("version") == "v2" else "")
    return Request(name, [], seed=settings["seed"], draws=settings["bootstrap_draws"])
