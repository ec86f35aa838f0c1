"""Checksums of parameters, computed alike inside an engine and from a checkpoint's files.

They prove a weight swap in bfloat16, where two neighbouring checkpoints are nearer to each other than the
arithmetic's noise.
Engines fuse tensors (q, k, v into one; gate and up into one): the fused checksum is computed from the parts in order.
With tensor parallelism every process of the engine holds a share of each: its checksum is that of the share.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

PERIOD = 8191  # a prime: neighbouring positions weigh differently, so that a permutation is seen
MASK = (1 << 62) - 1
Found = tuple[int, tuple[int, ...]]
FUSED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}


def tensor_checksum(tensor: Any, start: int = 0) -> int:
    """Position-weighted sum of a tensor's bits, row-major; ``start`` is the position of its first element."""
    import torch

    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[tensor.element_size()]
    flat = tensor.detach().contiguous().view(-1).view(words)
    total = 0
    for offset in range(0, flat.numel(), 1 << 24):
        block = flat[offset : offset + (1 << 24)].to(torch.int64)
        position = torch.arange(block.numel(), device=block.device, dtype=torch.int64) + (start + offset)
        total += int((block * (position % PERIOD + 1)).sum().item())
    return total & MASK


def joined_checksum(tensors: Iterable[Any]) -> int:
    """The checksum of ``torch.cat(tensors)`` without building it."""
    total, start = 0, 0
    for tensor in tensors:
        total += tensor_checksum(tensor, start)
        start += tensor.numel()
    return total & MASK


def expected_checksum(
    name: str, checkpoint: CheckpointTensors, shape: tuple[int, ...] | None = None, rank: int = 0, ranks: int = 1
) -> int | None:
    """What parameter ``name`` of ``shape`` must sum to in engine process ``rank``; None if the checkpoint lacks it."""
    module, _, suffix = name.rpartition(".")
    parent, _, leaf = module.rpartition(".")
    parts = [f"{parent}.{part}.{suffix}" for part in FUSED[leaf]] if leaf in FUSED else [name]
    if not all(part in checkpoint for part in parts):
        return None
    tensors = (checkpoint[part] for part in parts)
    if ranks == 1 or shape is None:
        return joined_checksum(tensors)
    return joined_checksum(shards(list(tensors), shape, rank, ranks))


def shards(parts: list[Any], shape: tuple[int, ...], rank: int, ranks: int) -> list[Any]:
    """The share of ``parts`` (one tensor, or those that are fused) that process ``rank`` of ``ranks`` holds.

    ``shape`` is the parameter's own. Layers split their rows or their columns, small ones are held whole; of fused
    parts each is split by rows. Where there are fewer key-value heads than processes, neighbours hold the same ones.
    """
    first, *rest = parts
    if len(shape) > 1 and shape[1] < first.shape[1]:
        return [first[:, rank * shape[1] : (rank + 1) * shape[1]]]
    if not rest:
        return [_rows(first, shape[0], rank, ranks)]
    own = first.shape[0] // ranks
    each = (shape[0] - own) // len(rest)
    return [_rows(first, own, rank, ranks), *(_rows(part, each, rank, ranks) for part in rest)]


def _rows(tensor: Any, held: int, rank: int, ranks: int) -> Any:
    distinct = max(1, -(-tensor.shape[0] // held))  # the last share of a vocabulary may be padded
    at = rank // max(1, ranks // distinct) * held
    return tensor[at : at + held]


class CheckpointTensors:
    """The tensors of a safetensors checkpoint in serving dtype, one read at a time."""

    def __init__(self, directory: Path, dtype: str) -> None:
        from safetensors import safe_open

        self.dtype = dtype
        self.handles = [safe_open(path, framework="pt") for path in sorted(directory.glob("*.safetensors"))]
        self.where = {name: handle for handle in self.handles for name in handle.keys()}  # noqa: SIM118 - no iterator

    def __contains__(self, name: str) -> bool:
        return name in self.where

    def __getitem__(self, name: str) -> Any:
        import torch

        return self.where[name].get_tensor(name).to(getattr(torch, self.dtype))


def compare(found: list[dict[str, Found]], directory: Path, dtype: str) -> tuple[int, list[str]]:
    """(number of parameters compared, names that differ) over all processes of an engine.

    ``found[rank]`` is name → (checksum, shape). Parameters without a counterpart count as different.
    """
    checkpoint = CheckpointTensors(directory, dtype)
    wrong = [
        name
        for rank, own in enumerate(found)
        for name, (value, shape) in own.items()
        if expected_checksum(name, checkpoint, tuple(shape), rank, len(found)) != value
    ]
    return sum(map(len, found)), wrong
