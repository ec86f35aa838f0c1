"""GPUs by name. Peak is dense bfloat16 (no sparsity) of the maker's data sheet; memory in GiB as usable at most."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Gpu:
    """``peak`` in floating-point operations per second, ``memory`` in bytes."""

    name: str
    peak: float
    memory: float


GB = 1e9
GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("h100", 989e12, 80 * GB),  # NVIDIA H100 SXM data sheet
        Gpu("h200", 989e12, 141 * GB),  # NVIDIA H200 SXM data sheet
        Gpu("a100-80gb", 312e12, 80 * GB),  # NVIDIA A100 data sheet
        Gpu("a100-40gb", 312e12, 40 * GB),
        Gpu("l40s", 362e12, 48 * GB),  # NVIDIA L40S data sheet
    )
}


def find(name: str) -> Gpu:
    """Raises ConfigError for a GPU that is not in the table."""
    if name.lower() not in GPUS:
        raise ConfigError(
            f'there is no GPU "{name}" in the table.{did_you_mean(name, GPUS)}', f"known: {', '.join(GPUS)}"
        )
    return GPUS[name.lower()]
