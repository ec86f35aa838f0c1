"""Memory of a run: its peak, and how the allocator keeps it."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
# glibc's mallopt(3): names and values
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER, NONE = -1, 0


def keep_freed_memory() -> None:
    """Let this process keep what it frees. Elsewhere than on glibc nothing changes.

    By default glibc returns every tensor of some megabytes to the system, and its next use takes page faults that cost
    more than the operation: benchmarks/README.md.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, NONE)
        mallopt(M_TRIM_THRESHOLD, NEVER)


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
