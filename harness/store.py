"""The store of finished stages: ``results/<folder>/<key>/``, done when its ``manifest.json`` says so.

The manifest is written last, so a directory without one is work in progress that the same stage may continue.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files, locks, provenance
from harness.errors import BridgebenchError, EnvironmentFault, IntegrityError

FOLDERS = {
    "convert": "models",
    "tokenize": "data",
    "prompts": "prompts",
    "reference": "reference",
    "train": "train",
    "generate": "generate",
    "scores": "scores",
    "judge": "judge",
    "analyze": "analyze",
    "analysis": "analysis",
    "aggregate": "aggregate",
}
MANIFEST = "manifest.json"
SEAL = "manifest_sha256"
SAFE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
UNFINISHED_PREFIX = "."
TEMPORARY = ".*.tmp"
WORKING = ("answers.jsonl", "chunks", "state")
"""Answers so far, chunks so far, resume states: names in a stage's directory that its manifest makes needless."""


@dataclass(frozen=True)
class Problem:
    """One thing that `verify` found: ``path`` and what is wrong (or merely absent) there."""

    path: str
    what: str
    fatal: bool = True


class Store:
    """The directory that holds every stage's output."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def prepare(self) -> None:
        """Make the root and prove that it can be written to and that locks work there. Raises EnvironmentFault."""
        probe = self.root / f".writable.{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.touch()
        except OSError as error:
            raise EnvironmentFault(
                f"the results directory {self.root} cannot be written ({error.strerror}).",
                "choose another with --results DIR or BRIDGEBENCH_RESULTS",
            ) from error
        if (fault := locks.fault(probe)) is not None:
            raise EnvironmentFault(
                f"locks do not work in the results directory {self.root} ({fault}), so two runs could write into the "
                "same stage unseen.",
                "choose one on a file system with flock: --results DIR or BRIDGEBENCH_RESULTS",
            )

    def path(self, kind: str, key: str) -> Path:
        """Where the stage ``key`` of ``kind`` keeps its files."""
        return self.root / FOLDERS[kind] / key

    def lock_path(self, kind: str, key: str) -> Path:
        """The lock file of a stage."""
        return self.root / ".locks" / f"{kind}-{key}.lock"

    @contextlib.contextmanager
    def lock(self, kind: str, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[int]:
        """Hold the stage's lock (see `harness.locks`). What a killed writer left unfinished there is removed: with the
        lock, nobody writes it any more.
        """
        with locks.exclusive(self.lock_path(kind, key), on_wait) as descriptor:
            for path in [*self.path(kind, key).rglob(TEMPORARY)]:
                _remove(path)
            yield descriptor

    def tidy(self, kind: str, key: str) -> None:
        """Remove what only an unfinished stage needs; the work of a finished one may have been killed before it did."""
        for name in WORKING:
            _remove(self.path(kind, key) / name)

    def manifest(self, kind: str, key: str) -> dict[str, Any] | None:
        """The stage's manifest, or None while it is not done. Raises IntegrityError for another stage's manifest."""
        path = self.path(kind, key) / MANIFEST
        if not path.exists():
            return None
        manifest = read_manifest(path)
        if manifest.get("key") != key:
            raise IntegrityError(
                f"{path} belongs to another stage.", f"bridgebench gc --remove {kind}/{key}   removes it"
            )
        return manifest

    def state(self, kind: str, key: str) -> str:
        """``done``, ``running`` (another process holds the lock), ``partial`` or ``absent``."""
        if self.manifest(kind, key) is not None:
            return "done"
        if locks.is_held(self.lock_path(kind, key)):
            return "running"
        return "partial" if self.path(kind, key).exists() else "absent"

    def stages(self) -> Iterator[tuple[str, str]]:
        """(kind, key) of every stage directory, finished or not."""
        for kind, folder in FOLDERS.items():
            base = self.root / folder
            for entry in sorted(base.iterdir()) if base.is_dir() else []:
                if entry.is_dir() and not entry.name.startswith(UNFINISHED_PREFIX) and _is_key(entry.name):
                    yield kind, entry.name

    def find(self, prefix: str) -> tuple[str, str]:
        """The one stage whose key (or ``kind/key``) starts with ``prefix``. Raises BridgebenchError if none or many."""
        kind_wanted, _, key_prefix = prefix.rpartition("/")
        found = [
            (kind, key)
            for kind, key in self.stages()
            if key.startswith(key_prefix) and kind_wanted in ("", kind, FOLDERS[kind])
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise BridgebenchError(f'there is no stage "{prefix}" in {self.root}.', "bridgebench status   lists them")
        names = ", ".join(f"{kind}/{key}" for kind, key in found[:5])
        raise BridgebenchError(f'"{prefix}" fits {len(found)} stages: {names}.', "give more of the key")

    def remove(self, kind: str, key: str) -> int:
        """Delete a stage directory, manifest first so that a torn removal is not taken for done. Returns bytes
        freed.
        """
        path = self.path(kind, key)
        freed = directory_bytes(path)
        (path / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        return freed

    def verify(self, kind: str, key: str) -> list[Problem]:
        """Recompute the digests that the stage's manifest records, its own included."""
        try:
            manifest = self.manifest(kind, key)
        except IntegrityError as error:
            return [Problem(f"{kind}/{key}/{MANIFEST}", error.message)]
        if manifest is None:
            return [Problem(f"{kind}/{key}", "not finished", fatal=False)]
        name = f"{kind}/{key}"
        return [*verify_seal(manifest, name), *verify_files(self.path(kind, key), manifest, name)]


def split_name(name: str) -> tuple[str, str]:
    """(kind, key) of ``kind/key``. Raises IntegrityError for a name that is none, which could lead out of the store."""
    kind, _, key = name.partition("/")
    if kind not in FOLDERS or not SAFE_KEY.match(key):
        raise IntegrityError(f"{name[:100]!r} names no stage.", "the manifest or board that says so is damaged")
    return kind, key


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest with the shape of one. Raises IntegrityError for anything else."""
    found = files.read_json(path)
    if not _is_manifest(found):
        raise IntegrityError(f"{path} is damaged: it is no manifest.", "remove it and run again")
    return dict(found)


def _is_manifest(found: Any) -> bool:
    if not isinstance(found, dict):
        return False
    groups = [found.get(name, {}) for name in ("identity", "inputs", "files", "summary")]
    if not all(isinstance(group, dict) for group in groups):
        return False
    if not all(isinstance(found.get(name) or {}, dict) for name in ("versions", "machine")):
        return False
    digests = [entry.get("sha256") if isinstance(entry, dict) else None for entry in groups[2].values()]
    return all(isinstance(value, str) for value in (*groups[1].values(), *digests))


def seal(manifest: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON of all that a manifest says but this digest itself."""
    said = json.loads(json.dumps({name: value for name, value in manifest.items() if name != SEAL}))
    return files.sha256_text(files.canonical_json(said))


def verify_seal(manifest: dict[str, Any], name: str) -> list[Problem]:
    """Whether the manifest says what was written; those of earlier versions cannot tell."""
    if SEAL not in manifest:
        return [Problem(f"{name}/{MANIFEST}", "carries no digest of itself, not checked", fatal=False)]
    try:
        whole = manifest[SEAL] == seal(manifest)
    except ValueError:  # NaN, which no manifest is written with
        whole = False
    return [] if whole else [Problem(f"{name}/{MANIFEST}", "differs from its own digest")]


def verify_files(directory: Path, manifest: dict[str, Any], name: str) -> list[Problem]:
    """Problems of the files that ``manifest`` lists, sought in ``directory`` (compressed copies count as the
    original).
    """
    problems = []
    for relative, expected in manifest.get("files", {}).items():
        path = directory / relative
        label = f"{name}/{relative}"
        if not path.resolve().is_relative_to(directory.resolve()):
            problems.append(Problem(label, "points outside its directory"))
        elif not path.exists():
            problems.append(Problem(label, "absent, not checked", fatal=False))
        elif files.sha256_file(path) != expected["sha256"]:
            problems.append(Problem(label, "differs from its manifest"))
    return problems


def directory_bytes(path: Path) -> int:
    """Bytes of all files below ``path``."""
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def digest_files(directory: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """``{relative name: {"sha256", "bytes"}}`` as manifests record it."""
    return {
        name: {"sha256": files.sha256_file(directory / name), "bytes": (directory / name).stat().st_size}
        for name in sorted(names)
    }


def _remove(path: Path) -> None:
    """Delete a file or a directory, if it is there and can be deleted."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_key(name: str) -> bool:
    return len(name) == 16 and all(character in "0123456789abcdef" for character in name)


def write_manifest(
    directory: Path,
    record: dict[str, Any],
    names: list[str],
    summary: dict[str, Any],
    started: str,
    seconds: float,
) -> dict[str, Any]:
    """Write the manifest that makes a stage done; ``names`` are the files it vouches for, ``seconds`` the wall time."""
    manifest = {
        **record,
        "started": started,
        "finished": provenance.now(),
        "seconds": round(seconds, 3),
        "files": digest_files(directory, names),
        "summary": summary,
    }
    manifest[SEAL] = seal(manifest)
    files.write_json(directory / MANIFEST, manifest)
    return manifest
