"""``verify``: recompute digests, and for a published board every estimate from its stored verdicts."""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import BridgebenchError
from harness.store import MANIFEST, Problem, Store

# identity is enough on one machine; another CPU's numpy may differ in the last digits
RELATIVE_TOLERANCE = 1e-9


def run(store: Store, target: str | None) -> tuple[list[Problem], int]:
    """(problems, things checked) of the whole store, one stage key, or a published board's directory."""
    if target is not None and (Path(target) / "data.json").is_file():
        return verify_board(Path(target))
    stages = [store.find(target)] if target else list(store.stages())
    problems = [problem for kind, key in stages for problem in store.verify(kind, key)]
    return problems, len(stages)


def verify_board(directory: Path) -> tuple[list[Problem], int]:
    """Check the evidence against its manifests, the estimates against the verdicts, and the rows against the
    estimates.
    """
    evidence = directory / "evidence"
    manifests = {f"{path.parent.parent.name}/{path.parent.name}": path for path in evidence.glob(f"*/*/{MANIFEST}")}
    if not manifests:
        raise BridgebenchError(
            f"{directory} has no evidence to verify.", "bridgebench publish RECIPE --to DIR   adds it"
        )
    problems = []
    for name, path in sorted(manifests.items()):
        problems += _verify_evidence(name, path.parent, files.read_json(path))
    data = files.read_json(directory / "data.json")
    for row in data["rows"]:
        if row.get("failed") is None:
            problems += _verify_row(row, evidence)
    follows = not any(problem.fatal for problem in problems)
    if follows and data.get("groups"):
        problems += _verify_groups(data, evidence)
    if follows and (directory / "claims.json").exists():
        problems += _verify_claims(directory)
    return problems, len(manifests) + len(data["rows"]) + len(data.get("groups") or [])


def _verify_claims(directory: Path) -> list[Problem]:
    """The claims report against the verdicts."""
    from harness.claims import writing

    fresh = writing.compute(directory, Store(directory))
    kept = files.read_json(directory / "claims.json")
    return [
        Problem(f"claims.json: {key}", "does not follow from the verdicts")
        for key, value in fresh.items()
        if not same(kept.get(key), value)
    ]


def _verify_groups(data: dict[str, Any], evidence: Path) -> list[Problem]:
    """The recipes' figures over seeds against the verdicts of all their rows."""
    from harness import evidence as stored
    from harness import seed_groups

    seed = data["recipe"]["statistics"]["seed"]
    fresh = seed_groups.describe(
        data["rows"], stored.verdicts(data, evidence), data["group_comparison"]["metric"], seed=seed
    )
    return [
        Problem(f"{key}", "does not follow from the verdicts")
        for key, value in fresh.items()
        if not same(data.get(key), value)
    ]


def _verify_evidence(name: str, directory: Path, manifest: dict[str, Any]) -> list[Problem]:
    if name != f"{manifest.get('kind')}/{manifest.get('key')}":
        return [Problem(name, "its manifest belongs to another stage")]
    problems = []
    for relative, expected in manifest["files"].items():
        packed = directory / f"{relative}.gz"
        if not packed.exists():
            problems.append(Problem(f"{name}/{relative}", "absent, not checked", fatal=False))
        elif hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() != expected["sha256"]:
            problems.append(Problem(f"{name}/{relative}", "differs from its manifest"))
    return problems


def _verify_row(row: dict[str, Any], evidence: Path) -> list[Problem]:
    from harness import estimating

    name = f"row {row['row']}"
    keys = row["stage_keys"]
    if not (evidence / keys["judge"] / MANIFEST).exists() or not (evidence / keys["aggregate"] / MANIFEST).exists():
        return [Problem(name, "its verdicts are not among the evidence")]
    settings = files.read_json(evidence / keys["aggregate"] / MANIFEST)["identity"]
    verdicts = files.read_jsonl(evidence / keys["judge"] / "verdicts.jsonl.gz")
    fresh = estimating.of_row(verdicts, settings)
    return [
        Problem(f"{name}.{key}", f"the board says {row.get(key)}, the verdicts give {value}")
        for key, value in fresh.items()
        if not same(row.get(key), value)
    ]


def same(left: Any, right: Any) -> bool:
    """Equality through lists and mappings, numbers to `RELATIVE_TOLERANCE`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    return bool(left == right)
