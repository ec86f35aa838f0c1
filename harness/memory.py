"""Is there memory for a serving engine? Asked before half a minute is spent on starting one."""

from __future__ import annotations

from pathlib import Path

from harness.errors import EnvironmentFault

GIB = 1 << 30
ENGINE_OVERHEAD_GIB = 1.5  # measured: a 135M float32 engine with a 2 GiB cache peaks at 3.7 GB resident while loading
CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Memory that can still be taken, the container's limit included; None where the system does not tell."""
    known = [value for value in (_system_available(), _cgroup_available()) if value is not None]
    return min(known) if known else None


def _system_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _cgroup_available() -> int | None:
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used


def weight_bytes(checkpoint: Path) -> int:
    """Size of a checkpoint's weights as they are stored."""
    return sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))


def engine_bytes(checkpoint: Path, kv_cache_gib: float) -> int:
    """Weights, cache and the engine itself, on a CPU."""
    return int(weight_bytes(checkpoint) + (kv_cache_gib + ENGINE_OVERHEAD_GIB) * GIB)


def training_bytes(checkpoint: Path) -> int:
    """Weights, gradients and AdamW's two moments on a CPU, in the precision in which the weights are stored;
    activations, which depend on the microbatch, are not in it.
    """
    return 4 * weight_bytes(checkpoint)


def require_for_engine(checkpoint: Path, kv_cache_gib: float) -> None:
    """Raise EnvironmentFault if weights, cache and the engine itself will not fit."""
    require(engine_bytes(checkpoint, kv_cache_gib))


def require(needed: int) -> None:
    """Raise EnvironmentFault if an engine that needs so many bytes will not fit."""
    free = available_bytes()
    if free is not None and free < needed:
        raise EnvironmentFault(
            f"the engine needs about {needed / GIB:.1f} GiB of memory, and {free / GIB:.1f} GiB are free.",
            "close other programs, lower generate.kv_cache_gib, or use --set generate.backend=transformers",
        )
