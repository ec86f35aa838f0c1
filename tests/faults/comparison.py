"""What a store must hold however it came about, and how two stores differ in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import files
from harness.store import FOLDERS, MANIFEST, Store
from tests.faults.recipe import NAME

# how often an endpoint had to be asked, and how long anything took, may depend on the fault; nothing else may
OF_THE_ASKING = ("attempts", "unconfirmed_tokens", "reused_from", "tokens", "cost")
OF_THE_TIME = (
    "seconds",
    "tokens_per_second",
    "train_seconds",
    "train_tokens_per_second",
    "created",
    "provenance",
    "started",
    "finished",
    "commits",
    "machine",
    "versions",
    "notes",
    "base_url",
)
BOARD = "board"


def content(store: Path) -> dict[str, Any]:
    """``kind/key/file`` → digest of every file of every stage, and the board's figures."""
    found: dict[str, Any] = {}
    for folder in FOLDERS.values():
        base = store / folder
        for path in sorted(base.rglob("*")) if base.is_dir() else []:
            if path.is_file():
                found[str(path.relative_to(store))] = _digest(path)
    board = store / "boards" / NAME / "data.json"
    found[BOARD] = without(files.read_json(board), OF_THE_TIME) if board.exists() else None
    return found


def _digest(path: Path) -> str:
    if path.name == MANIFEST:
        manifest = files.read_json(path)
        kept = {name: manifest[name] for name in ("kind", "key", "label", "identity", "inputs")}
        return files.sha256_text(files.canonical_json(kept | {"files": sorted(manifest["files"])}))
    if path.name in ("metrics.jsonl", "verdicts.jsonl"):
        rows = [without(row, (*OF_THE_ASKING, *OF_THE_TIME)) for row in files.read_jsonl(path)]
        return files.sha256_text(files.canonical_json(rows))
    if path.name == "spec.json":
        return "its record has times"
    return files.sha256_file(path)


def without(value: Any, names: tuple[str, ...]) -> Any:
    """``value`` with these keys left out at every depth."""
    if isinstance(value, dict):
        return {name: without(inner, names) for name, inner in value.items() if name not in names}
    if isinstance(value, list):
        return [without(inner, names) for inner in value]
    return value


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One line for each file or figure that is missing, left over or different."""
    lines = [f"{name} is missing" for name in expected.keys() - found.keys()]
    lines += [f"{name} is left over" for name in found.keys() - expected.keys()]
    for name in expected.keys() & found.keys():
        if expected[name] != found[name]:
            where = ", ".join(_where(expected[name], found[name])) if name == BOARD else ""
            lines.append(f"{name} differs {where}".strip())
    return sorted(lines)


def _where(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            yield from _where(expected.get(name), found.get(name), f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (mine, theirs) in enumerate(zip(expected, found, strict=True)):
            yield from _where(mine, theirs, f"{path}[{number}]")
    elif expected != found:
        yield f"{path}: {json.dumps(expected)[:80]} → {json.dumps(found)[:80]}"


def finished(store: Path) -> dict[str, str]:
    """Stage name → what its manifest is, down to the moment it was written."""
    return {
        f"{kind}/{key}": _moment(Store(store).path(kind, key) / MANIFEST)
        for kind, key in Store(store).stages()
        if (Store(store).path(kind, key) / MANIFEST).exists()
    }


def _moment(path: Path) -> str:
    return f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
