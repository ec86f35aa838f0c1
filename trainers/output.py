"""The output directory: files written whole, digests, and the manifest that makes a run finished."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainers.spec import Common, identity

MANIFEST = "manifest.json"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


def write_bytes(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to disk, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_lines(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines as they come, none kept in memory; like `write_bytes` whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            handle.writelines(lines)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def spec_digest(spec: Common) -> str:
    """SHA-256 over what decides the result; a run continues only what has the same."""
    return hashlib.sha256(json.dumps(identity(spec), sort_keys=True).encode()).hexdigest()


def seal(manifest: dict[str, Any]) -> str:
    """SHA-256 over a manifest's canonical JSON, by which damage to the manifest itself is found."""
    said = json.loads(json.dumps(manifest))
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Run:
    """One run's clock and manifest."""

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self.directory: Path = spec.output
        self.started = _now()
        self.clock = time.monotonic()

    def finished(self) -> bool:
        """Whether this spec's manifest is already there."""
        path = self.directory / MANIFEST
        return path.exists() and json.loads(path.read_text("utf-8")).get("spec_sha256") == spec_digest(self.spec)

    def finish(self, names: Iterable[str], summary: dict[str, Any]) -> None:
        """Write the manifest; ``names`` are files below the output directory."""
        listed = {
            name: {
                "sha256": sha256_file(self.directory / name),
                "bytes": (self.directory / name).stat().st_size,
            }
            for name in sorted(names)
        }
        manifest = {
            **self.spec.record,
            "kind": self.spec.kind,
            "spec_sha256": spec_digest(self.spec),
            "versions": {**self.spec.record.get("versions", {}), **versions()},
            "machine": machine(),
            "started": self.started,
            "finished": _now(),
            "seconds": round(time.monotonic() - self.clock, 3),
            "files": listed,
            "summary": summary,
        }
        write_json(self.directory / MANIFEST, manifest | {"manifest_sha256": seal(manifest)})


def tree(directory: Path, below: str) -> list[str]:
    """Names of all files under ``directory / below``, relative to ``directory``."""
    return [str(path.relative_to(directory)) for path in (directory / below).rglob("*") if path.is_file()]


def versions() -> dict[str, str]:
    """Python's and the packages' versions."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def machine() -> dict[str, Any]:
    """Processor or GPU, and the threads in use."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _cpu_name(), "threads": torch.get_num_threads(), "gpu": gpu}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
