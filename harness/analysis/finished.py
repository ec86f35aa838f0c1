"""Which finished analyses a store holds of a board's checkpoints, and what they say under the board's names of rows.

An analysis belongs to a board's row if it measured that very checkpoint (by stage key, whatever it called it) against
the model the row was trained from: the reference that V_0, implicit rewards and drift of a board are about.
"""

from __future__ import annotations

import json
from typing import Any

from harness.analysis.roles import ESTIMATES, MODEL, PICTURES, REFERENCE
from harness.board_evidence import Board, Evidence, StoreEvidence
from harness.store import Store

Row = dict[str, Any]
Analysis = dict[str, Any]
SETTINGS = ("analysis", "beta", "data", "reference", "max_new_tokens", "samples_per_prompt")


def of_rows(rows: list[Row], store: Store) -> dict[str, str]:
    """rewards, values, drift → the ``analysis/KEY`` that tells most about ``rows`` (with their ``stage_keys``).

    Most rows decide, then most examples, then the latest.
    """
    found: dict[str, tuple[Any, str]] = {}
    for kind, key in store.stages():
        manifest = store.manifest(kind, key) if kind == "analysis" else None
        covered = names(rows, manifest) if manifest is not None else {}
        if manifest is not None and covered:
            place = (len(covered), manifest["summary"]["n"], manifest["finished"])
            of = manifest["identity"]["analysis"]
            found[of] = max(found.get(of, (place, "")), (place, f"analysis/{key}"))
    return {of: name for of, (_, name) in sorted(found.items())}


def of_board(board: Board) -> dict[str, str]:
    """`of_rows` for a board in a store; what a published one names."""
    if isinstance(board.evidence, StoreEvidence):
        return of_rows(board.data["rows"], board.evidence.store)
    return dict(board.data.get("analyses") or {})


def names(rows: list[Row], manifest: dict[str, Any]) -> dict[str, str]:
    """A board's row → the analysis' name of it, for those that it measured against what they were trained from."""
    inputs = manifest["inputs"]
    by_model = {stage: role.removeprefix(MODEL) for role, stage in inputs.items() if role.startswith(MODEL)}
    found = {}
    for row in rows:
        name = by_model.get(checkpoint(row))
        if name is not None and inputs[REFERENCE + name] == row["stage_keys"].get("model"):
            found[str(row["row"])] = name
    return found


def checkpoint(row: Row) -> str | None:
    """The stage that holds a row's checkpoint: of its last training, else what it was given as."""
    keys = row.get("stage_keys") or {}
    return keys.get("train_preference") or keys.get("train") or keys.get("model")


def read(name: str, rows: list[Row], evidence: Evidence) -> Analysis | None:
    """What ``analysis/KEY`` says of ``rows``; None where it is not among the evidence.

    ``{stage, analysis, beta, data, …, rows: {row: estimates}, agreement, edges, counts: {row: […]}, credits: {row:
    [pairs]}}``, each as far as this kind of analysis has it.
    """
    manifest = evidence.manifest(name)
    contents = [evidence.content(name, file) for file in (ESTIMATES, PICTURES)]
    if manifest is None or None in contents:
        return None
    estimates, pictures = (json.loads(content) for content in contents if content is not None)
    own = names(rows, manifest)
    said = {key: manifest["identity"].get(key) for key in SETTINGS}
    found = {"stage": name, **said, "rows": {row: estimates["rows"][theirs] for row, theirs in own.items()}}
    if "agreement" in estimates:
        found["agreement"] = {key: _renamed(pairs, own) for key, pairs in estimates["agreement"].items()}
    if "margins" in pictures:
        found["edges"] = pictures["margins"]["edges"]
        found["counts"] = {row: pictures["margins"]["counts"][theirs] for row, theirs in own.items()}
        found["credits"] = {row: [_credit(pair, theirs) for pair in pictures["credits"]] for row, theirs in own.items()}
    return found


def _renamed(pairs: list[Row], own: dict[str, str]) -> list[Row]:
    """Pairs of rows under the board's names; those with a row that the board does not have are left out."""
    here = {theirs: row for row, theirs in own.items()}
    kept = [pair for pair in pairs if pair["a"] in here and pair["b"] in here]
    return [{**pair, "a": here[pair["a"]], "b": here[pair["b"]]} for pair in kept]


def _credit(pair: Row, row: str) -> Row:
    """One pair as one row sees it: ``{id, sides: {chosen: {pieces, tokens, d}, rejected: …}}``."""
    sides = {name: {**side, "d": side["d"][row]} for name, side in pair["sides"].items()}
    return {"id": pair["id"], "sides": sides}
