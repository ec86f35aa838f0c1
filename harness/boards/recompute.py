"""Verdicts → the figures of rows and their comparison, from evidence alone: what a board must say.

`harness.board` takes a run's estimates as its aggregate stages wrote them; here they are computed anew, to build a
board of rows from several runs and to check one that somebody published.
"""

from __future__ import annotations

from typing import Any

from harness.board_evidence import Board, Line
from harness.errors import IntegrityError

DEFAULTS = {"seed": 0, "bootstrap_draws": 2000}
TRAINED = ("train", "train_preference")


def estimates(board: Board, row: str, benchmark: str | None = None) -> dict[str, Any]:
    """A row's estimates, by the settings that its aggregate stage recorded."""
    from harness import estimating

    return estimating.of_row(board.verdicts(row, benchmark), settings(board, row, benchmark))


def settings(board: Board, row: str, benchmark: str | None = None) -> dict[str, Any]:
    """Seed and draws behind a row's intervals, and the protocol that its judge follows."""
    manifest = board.evidence.manifest(board.stage_keys(row, benchmark).get("aggregate", "aggregate/none")) or {}
    return {**DEFAULTS, **manifest.get("identity", {})}


def comparison(
    verdicts: dict[str, list[Line]], *, seed: int, metric: str | None = None, draws: int | None = None
) -> dict[str, Any]:
    """All rows of a board against each other; ``metric`` None lets the verdicts decide."""
    from harness.aggregate import compare

    optional = {} if draws is None else {"draws": draws}
    return compare(verdicts, metric, seed=seed, **optional)  # type: ignore[arg-type]


def comparison_seed(board: Board) -> int:
    """The seed behind the intervals of a board's comparisons."""
    if "board_file" in board.data:
        return int(board.data["board_file"].get("seed", 0))
    return int(((board.data.get("recipe") or {}).get("statistics") or {}).get("seed", 0))


def training(board: Board, row: str) -> dict[str, Any]:
    """What the manifests of a row's training stages say of its settings; empty for a row that was not trained."""
    keys = board.stage_keys(row)
    names = [keys[kind] for kind in TRAINED if kind in keys]
    manifests = [board.evidence.manifest(name) for name in names]
    found = [manifest for manifest in manifests if manifest is not None]
    if not found or len(found) < len(names):
        return {}
    identity = found[0]["identity"]
    objective = identity["objective"]
    summary = found[-1].get("summary", {})
    shaped = {key: objective.get(key) for key in ("divergence", "form", "beta", "curvature")}
    return {
        "objective": objective["name"],
        **shaped,
        "learning_rate": identity["learning_rate"],
        "seed": identity["seed"],
        "train_seconds": sum(manifest["seconds"] for manifest in found),
        "train_tokens_per_second": summary.get("tokens_per_second"),
        "surviving_updates": summary.get("surviving_updates"),
    }


def answered(board: Board, row: str, benchmark: str | None = None) -> tuple[str, str]:
    """(digest of the prompts, stage of the baseline's completions): rows that differ in either do not compare."""
    keys = board.stage_keys(row, benchmark)
    judge = board.evidence.manifest(keys["judge"])
    if judge is None:
        raise IntegrityError(f"{board.name}/{row}: {keys['judge']} has no manifest.")
    prompts = board.evidence.manifest(judge["inputs"]["prompts"]) or {}
    return str(prompts.get("identity", {}).get("rows_sha256")), str(judge["inputs"].get("baseline"))
