"""``doctor``: is everything here that a run needs? Each fault comes with its fix."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass

from harness import memory, provenance
from harness.plan import device_kind
from harness.store import Store

NEEDED_GIB_DISK = 20
NEEDED_GIB_MEMORY = 6
PACKAGES = {
    "torch": "training and generation",
    "transformers": "training and the transformers backend",
    "safetensors": "checkpoints",
    "vllm": "serving (without it: --set generate.backend=transformers)",
    "datasets": "hub: data sets",
    "alpaca_eval": "AlpacaEval's own tools",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    ok: bool
    what: str
    fix: str = ""

    def line(self) -> str:
        """``ok    torch 2.13.0`` or ``fault torch is missing → make install``."""
        return f"ok     {self.what}" if self.ok else f"fault  {self.what} → {self.fix}"


def examine(store: Store) -> list[Finding]:
    """Look at Python, packages, device, memory, disk and the store."""
    findings = [_python(), *(_package(name, purpose) for name, purpose in PACKAGES.items())]
    findings.append(Finding(True, f"device {device_kind()}"))
    findings += [_memory(), _disk(store)]
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= (3, 11), f"Python {version}", "use Python 3.11 or newer")


def _package(name: str, purpose: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(False, f"{name} is missing; it is for {purpose}", "make install")
    versions = provenance.versions()
    version = versions.get(name) or versions.get(name.replace("_", "-")) or versions.get(f"{name}-cpu") or ""
    return Finding(True, f"{name} {version}".rstrip())


def _memory() -> Finding:
    free = memory.available_bytes()
    if free is None:
        return Finding(True, "free memory unknown")
    enough = free >= NEEDED_GIB_MEMORY * memory.GIB
    return Finding(enough, f"{free / memory.GIB:.1f} GiB memory free", f"the quickstart needs {NEEDED_GIB_MEMORY} GiB")


def _disk(store: Store) -> Finding:
    place = next(path for path in (store.root, *store.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    enough = free >= NEEDED_GIB_DISK * memory.GIB
    return Finding(enough, f"{free / memory.GIB:.0f} GiB disk free", f"the quickstart needs {NEEDED_GIB_DISK} GiB")
