"""``verify``: recompute digests, and for a published board every estimate from its stored verdicts."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from harness import files
from harness.board_evidence import Board, PublishedEvidence, board, locate
from harness.boards import recompute
from harness.errors import BridgebenchError, IntegrityError
from harness.store import MANIFEST, Problem, Store, read_manifest, split_name, verify_seal

# identity is enough on one machine; another CPU's numpy may differ in the last digits
RELATIVE_TOLERANCE = 1e-9
ADDED_LATER = ("values_analysis",)  # to claims.json: a report that an earlier version wrote lacks it


def run(store: Store, target: str | None) -> tuple[list[Problem], int]:
    """(problems, things checked) of the whole store, one stage key, or a board by name or directory."""
    if target is None:
        return verify_stages(store, list(store.stages()))
    if locate(target, store) is not None:
        return verify_board(board(target, store), store)
    return verify_stages(store, [store.find(target)])


def verify_stages(store: Store, stages: list[tuple[str, str]]) -> tuple[list[Problem], int]:
    """Recompute the digests of stages of the store."""
    return [problem for kind, key in stages for problem in store.verify(kind, key)], len(stages)


def damaged(problems: list[Problem], store: Store) -> list[str]:
    """``kind/key`` of the store's own stages among ``problems`` that have to be made again."""
    named = {"/".join(problem.path.split("/")[:2]) for problem in problems if problem.fatal}
    return sorted(named & {f"{kind}/{key}" for kind, key in store.stages()})


def verify_board(found: Board, store: Store) -> tuple[list[Problem], int]:
    """Check the evidence against its manifests, and every row's estimates against its verdicts."""
    if isinstance(found.evidence, PublishedEvidence):
        problems, checked = verify_evidence(found.directory)
    else:
        names = {key for row in found.rows for each in found.benchmarks for key in found.stage_keys(row, each).values()}
        problems, checked = verify_stages(store, sorted(map(split_name, names)))
    for name, row in found.rows.items():
        if row.get("failed") is None:
            for number, benchmark in enumerate(found.benchmarks):
                said = row if number == 0 else (row.get("benchmarks") or {}).get(benchmark) or {}
                problems += _verify_row(found, name, benchmark, said)
    groups = found.data.get("groups") or []
    if isinstance(found.evidence, PublishedEvidence) and not any(problem.fatal for problem in problems):
        problems += _verify_groups(found) if groups else []
        problems += _verify_claims(found.directory) if (found.directory / "claims.json").exists() else []
    return problems, checked + len(found.rows) + len(groups)


def verify_evidence(directory: Path) -> tuple[list[Problem], int]:
    """Digests of a published board's evidence. Raises BridgebenchError where it has none."""
    manifests = sorted((directory / "evidence").glob(f"*/*/{MANIFEST}"))
    if not manifests:
        raise BridgebenchError(
            f"{directory} has no evidence to verify.", "bridgebench publish RECIPE --to DIR   adds it"
        )
    problems = []
    for path in manifests:
        name = f"{path.parent.parent.name}/{path.parent.name}"
        try:
            problems += _verify_evidence(name, path.parent, read_manifest(path))
        except IntegrityError as error:
            problems.append(Problem(name, error.message))
    return problems, len(manifests)


def _verify_claims(directory: Path) -> list[Problem]:
    """The claims report against the verdicts."""
    from harness.claims import writing

    fresh = writing.compute(directory, Store(directory))
    kept = files.read_json(directory / "claims.json")
    return [
        Problem(f"claims.json: {key}", "does not follow from the verdicts")
        for key, value in fresh.items()
        if key not in ADDED_LATER or key in kept
        if not same(kept.get(key), value)
    ]


def _verify_groups(found: Board) -> list[Problem]:
    """The recipes' figures over seeds against the verdicts of all their rows."""
    from harness import seed_groups

    data = found.data
    seed, metric = data["recipe"]["statistics"]["seed"], data["group_comparison"]["metric"]
    fresh = seed_groups.describe(data["rows"], found.all_verdicts(), metric, seed=seed)
    return [
        Problem(f"{key}", "does not follow from the verdicts")
        for key, value in fresh.items()
        if not same(data.get(key), value)
    ]


def _verify_evidence(name: str, directory: Path, manifest: dict[str, Any]) -> list[Problem]:
    if name != f"{manifest.get('kind')}/{manifest.get('key')}":
        return [Problem(name, "its manifest belongs to another stage")]
    problems = [problem for problem in verify_seal(manifest, name) if problem.fatal]  # older boards have none
    for relative, expected in manifest.get("files", {}).items():
        packed = directory / f"{relative}.gz"
        if not packed.resolve().is_relative_to(directory.resolve()):
            problems.append(Problem(f"{name}/{relative}", "points outside its directory"))
        elif not packed.exists():
            problems.append(Problem(f"{name}/{relative}", "absent, not checked", fatal=False))
        elif _digest(packed) != expected["sha256"]:
            problems.append(Problem(f"{name}/{relative}", "differs from its manifest"))
    return problems


def _digest(packed: Path) -> str | None:
    """Of a compressed file's content; None where it cannot be unpacked."""
    try:
        return hashlib.sha256(files.unpacked(packed)).hexdigest()
    except IntegrityError:
        return None


def _verify_row(found: Board, name: str, benchmark: str, said: dict[str, Any]) -> list[Problem]:
    label = f"row {name}" if benchmark == found.primary else f"row {name} on {benchmark}"
    try:
        fresh = recompute.estimates(found, name, benchmark)
    except BridgebenchError as error:
        return [Problem(label, f"its verdicts are not among the evidence: {error.message}")]
    chosen = "board_file" in found.data  # a board of chosen columns leaves figures empty
    return [
        Problem(f"{label}.{key}", f"the board says {said[key]}, the verdicts give {value}")
        for key, value in fresh.items()
        if key in said and not follows(said[key], value, chosen)
    ]


def follows(said: Any, fresh: Any, chosen: bool) -> bool:
    """Whether a board may say ``said`` where its verdicts give ``fresh``; ``chosen``: it leaves columns out."""
    known = in_common(fresh, said)
    return same(said, known) or (chosen and left_out(said, known))


def in_common(fresh: Any, said: Any) -> Any:
    """``fresh`` without keys that ``said`` does not have: a later version of this program may say more."""
    if isinstance(fresh, dict) and isinstance(said, dict):
        return {key: in_common(value, said[key]) for key, value in fresh.items() if key in said}
    if isinstance(fresh, list) and isinstance(said, list) and len(fresh) == len(said):
        return [in_common(mine, theirs) for mine, theirs in zip(fresh, said, strict=True)]
    return fresh


def left_out(said: Any, fresh: Any) -> bool:
    """Whether ``said`` is ``fresh`` with some of its figures left empty."""
    if isinstance(said, dict) and isinstance(fresh, dict) and said.keys() == fresh.keys():
        return all(same(said[key], fresh[key]) or left_out(said[key], fresh[key]) for key in said)
    return said is None


def same(left: Any, right: Any) -> bool:
    """Equality through lists and mappings, numbers to `RELATIVE_TOLERANCE`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    return bool(left == right)
