"""The driver's own stage of an analysis: per-example files of finished `analyze` stages → estimates and pictures.

``estimates.json`` is what the report says of each row and of rows against each other; ``pictures.json`` what the
pictures need beyond it: bins of margins, and a few pairs token by token. Both are small, so that a published board can
carry them; the per-example files are not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness import files, specs
from harness.analysis import agreement, drift, reward_model, rewards, separation, trajectories
from harness.analysis.roles import ESTIMATES, MEASURED, PICTURES, SCORES, SHOWN
from harness.stage import Stage
from harness.store import Store

FILES = [ESTIMATES, PICTURES]
PAIRS, MOST_TOKENS, BINS = 3, 256, 30
Line = dict[str, Any]
Lines = dict[str, list[Line]]
Made = tuple[dict[str, Any], dict[str, Any]]


class Source:
    """The finished stages that an analysis reads, by row."""

    def __init__(self, stage: Stage, store: Store) -> None:
        self.stage, self.store = stage, store
        self.settings = stage.identity

    def measured(self, role: str = MEASURED) -> dict[str, Stage]:
        """Row → its stage under ``role``, in the order of the identity's rows."""
        found = {name: self.stage.inputs.get(role + name) for name in self.settings["rows"]}
        return {name: stage for name, stage in found.items() if stage is not None}

    def lines(self, file: str, role: str = MEASURED) -> Lines:
        """Row → the lines of one of its files."""
        return {name: self.read(stage, file) for name, stage in self.measured(role).items()}

    def read(self, stage: Stage, file: str) -> list[Line]:
        """The rows of a file of a finished stage."""
        return files.read_jsonl(specs.directory(self.store, stage) / file)

    @property
    def first(self) -> Stage:
        """Any row's stage: what all rows share stands behind each."""
        return next(iter(self.measured().values()))


def stage(
    kind: str,
    label: str,
    settings: dict[str, Any],
    rows: dict[str, dict[str, Stage]],
    more: dict[str, Stage] | None = None,
) -> Stage:
    """The stage that estimates ``kind``; ``rows`` maps a row to its stages by role (see `roles`)."""
    inputs = {role + name: each for name, roles in rows.items() for role, each in roles.items()}
    identity = {"analysis": kind, **settings, "rows": list(rows)}
    return Stage("analysis", label, identity, inputs | (more or {}))


def run(stage: Stage, store: Store, out: Path) -> tuple[list[str], dict[str, Any]]:
    """Write ``estimates.json`` and ``pictures.json``; returns (their names, a summary)."""
    source = Source(stage, store)
    kinds: dict[str, Callable[[Source], Made]] = {"rewards": _rewards, "values": _values, "drift": _drift}
    estimates, pictures = kinds[stage.identity["analysis"]](source)
    for name, content in zip(FILES, (estimates, pictures), strict=True):
        files.write_json(out / name, content)
    sizes = [row.get("n") or row.get("pairs") for row in estimates["rows"].values()]
    return FILES, {"rows": len(sizes), "n": min(sizes)}


def _rewards(source: Source) -> Made:
    lines = source.lines("rewards.jsonl")
    found: dict[str, Any] = {"rows": {name: rewards.estimates(each) for name, each in lines.items()}}
    scored = source.stage.inputs.get(SCORES)
    if scored is None:
        found["comparisons"] = rewards.comparisons(lines)
    else:
        found |= reward_model.against(source.read(scored, "scores.jsonl"), lines)
    return found, {"margins": bins(lines), "credits": _credits(source, lines)}


def bins(lines: Lines) -> dict[str, Any]:
    """``{"edges": [...], "counts": {row: [...]}}``: histograms of every row's margins over the same bins."""
    margins = {name: rewards.margin(each) for name, each in lines.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(margins.values())), bins=BINS)
    counts = {name: np.histogram(each, bins=edges)[0].tolist() for name, each in margins.items()}
    return {"edges": [float(f"{edge:.6g}") for edge in edges], "counts": counts}


def _credits(source: Source, lines: Lines) -> list[dict[str, Any]]:
    """The first pairs as texts, with every row's d_t: ``{id, sides: {chosen: {pieces, tokens, d: {row: […]}}, …}}``."""
    passed = source.first.inputs["policy"]
    responses = source.read(passed, "responses.jsonl")[: 2 * PAIRS]
    pieces = files.read_json(specs.directory(source.store, passed) / "pieces.json")
    texts = [[pieces[str(token)] for token in each["tokens"][each["first"] :]] for each in responses]
    return [
        {
            "id": responses[2 * pair]["id"],
            "sides": {
                side: {
                    "pieces": texts[2 * pair + offset][:MOST_TOKENS],
                    "tokens": len(texts[2 * pair + offset]),
                    "d": {name: each[pair][side]["d"][:MOST_TOKENS] for name, each in lines.items()},
                }
                for offset, side in enumerate(("chosen", "rejected"))
            },
        }
        for pair in range(len(responses) // 2)
    ]


def _values(source: Source) -> Made:
    lines = source.lines("values.jsonl")
    pairs = source.read(source.first.inputs["policy"].inputs["data"], "pairs.jsonl")
    rows = {
        name: {
            **separation.estimates(each, pairs, source.settings["beta"]),
            "trajectory": trajectories.aligned(each, pairs),
        }
        for name, each in lines.items()
    }
    return {"rows": rows, "agreement": _agreements(lines, pairs)}, {}


def _agreements(lines: Lines, pairs: list[Line]) -> dict[str, Any]:
    """Agreement between rows on V - V_0 of the base, and on raw logsumexp beside it."""
    of = {
        name: {row: trajectories.state_values(each, pairs, name) for row, each in lines.items()}
        for name in ("value", "logsumexp", "reference_logsumexp")
    }
    base = of["reference_logsumexp"]
    return {name: agreement.compare(of[name], base) for name in ("value", "logsumexp")}


def _drift(source: Source) -> Made:
    prompts = source.read(source.first.inputs["prompts"], "rows.jsonl")
    parts = {str(row["id"]): str(row.get("part", "all")) for row in prompts}
    rows = {name: _drift_row(each, parts) for name, each in source.lines("samples.jsonl").items()}
    for name, each in source.lines("rewards.jsonl", SHOWN).items():
        rows[name]["demonstrations"] = drift.demonstrations(each)
    return {"rows": rows}, {}


def _drift_row(lines: list[Line], parts: dict[str, str]) -> dict[str, Any]:
    by_part = {
        part: [line for line in lines if parts.get(str(line["id"])) == part] for part in dict.fromkeys(parts.values())
    }
    kl = {part: drift.estimates(each)["kl"] for part, each in by_part.items() if each}
    return {**drift.estimates(lines), "by_part": kl}
