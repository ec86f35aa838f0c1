"""The GPUs of this machine that this process may use, asked of ``nvidia-smi``: nothing of CUDA is loaded."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=index,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One GPU as CUDA_VISIBLE_DEVICES names it, and its memory in MiB (None where it is named by UUID)."""

    name: str
    memory_mib: int | None


def here() -> list[Gpu]:
    """The GPUs of this machine that CUDA_VISIBLE_DEVICES leaves visible; none without a driver."""
    return visible(os.environ, _asked())


def visible(environment: Mapping[str, str], answer: str) -> list[Gpu]:
    """The GPUs that a program started with ``environment`` would see, in its order.

    ``answer`` has a line ``index, memory.total`` a GPU (MiB). As CUDA does, the list in CUDA_VISIBLE_DEVICES is read up
    to the first entry that names no GPU.
    """
    installed = dict(_line(line) for line in answer.splitlines() if line.strip())
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None or not installed:
        return list(installed.values())
    found = []
    for name in (part.strip() for part in allowed.split(",")):
        if name in installed:
            found.append(installed[name])
        elif name.startswith(("GPU-", "MIG-")):
            found.append(Gpu(name, None))
        else:
            break
    return found


def _line(line: str) -> tuple[str, Gpu]:
    index, _, memory = (part.strip() for part in line.partition(","))
    return index, Gpu(index, int(memory) if memory.isdigit() else None)


def _asked() -> str:
    try:
        return subprocess.run(QUERY, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
