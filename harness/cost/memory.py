"""Which parallelism fits: bytes per GPU of training with sharded state, and of serving.

Training holds per parameter its weight, its gradient and AdamW's two moments, all in the weights' dtype (16 bytes in
float32), sharded over the GPUs (FSDP); activations are not sharded: 34 bytes per token, hidden unit and layer without
checkpointing (Korthikanti et al. 2022, section 4.1, with attention kernels that store no scores). No copy of the
reference model: its log-probs are cached.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.cost.gpus import Gpu
from harness.cost.settings import ModelShape

STATE_VALUES = 4  # weight, gradient, two moments
BYTES = {"float32": 4, "bfloat16": 2}
ACTIVATION_BYTES = 34
USABLE = 0.9
COUNTS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Fit:
    """The fewest GPUs that hold it, and what one of them then holds; ``gpus`` is None where not even 64 do."""

    gpus: int | None
    state: float
    activations: float


def training(shape: ModelShape, weight_dtype: str, microbatch_tokens: int, gpu: Gpu) -> Fit:
    """FSDP over as few GPUs of one kind as fit, bytes per GPU."""
    state = STATE_VALUES * BYTES[weight_dtype] * shape.parameters
    activations = ACTIVATION_BYTES * microbatch_tokens * shape.hidden * shape.layers
    return _fit(state, activations, gpu)


def serving(shape: ModelShape, dtype: str, concurrent_tokens: int, gpu: Gpu) -> Fit:
    """Tensor parallelism; ``activations`` is the cache of keys and values for so many tokens at once, also split."""
    cache = 2 * shape.layers * shape.kv_heads * shape.head_dim * BYTES[dtype] * concurrent_tokens
    return _fit(BYTES[dtype] * shape.parameters + cache, 0.0, gpu)


def _fit(shared: float, own: float, gpu: Gpu) -> Fit:
    for count in COUNTS:
        if shared / count + own <= USABLE * gpu.memory:
            return Fit(count, shared / count, own)
    return Fit(None, shared / COUNTS[-1], own)
