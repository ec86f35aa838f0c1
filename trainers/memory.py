"""Peak memory of a run."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


def reset_peak_memory() -> None:
    """Forget the peak so far: a worker has run other specs before this one."""
    with contextlib.suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int:
    """Peak of the GPU's allocations, or of this process's resident memory."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in (PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
