"""Several processes on one run: FSDP2 under torchrun. Alone, everything here does nothing.

    torchrun --nproc-per-node 2 -m trainers SPEC.json

Each process takes its share of every global batch; weights, gradients and optimiser state are sharded. Sums are
reduced over all, so loss, normaliser and metrics are those of the whole batch. Rank 0 alone writes files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


@dataclass(frozen=True)
class Turn:
    """One forward pass that every process takes; ``counts`` is false where it only keeps in step."""

    microbatch: Any
    counts: bool


class World:
    """The processes of this run."""

    def __init__(self, device: str) -> None:
        self.size, self.rank = world_size(), int(os.environ.get("RANK", "0"))
        self.device = device
        self.mesh: Any = None
        if self.size > 1:
            self._join(device)

    def _join(self, device: str) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device == "cuda" else "gloo")
        self.mesh = init_device_mesh(device, (self.size,))

    @property
    def writes(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def shard(self, scorer: Any, layers: Any) -> None:
        """Shard every layer and what is left of ``scorer``."""
        if self.mesh is None:
            return
        from torch.distributed.fsdp import fully_shard

        for layer in layers:
            fully_shard(layer, mesh=self.mesh)
        fully_shard(scorer, mesh=self.mesh)

    def share(self, examples: list[int]) -> list[int]:
        """This process's part of a global batch."""
        return examples[self.rank :: self.size]

    def sum(self, values: list[float]) -> list[float]:
        """Element-wise sums over all processes."""
        if self.mesh is None:
            return values
        return self._reduce(values, dist.ReduceOp.SUM)

    def largest(self, value: int) -> int:
        """The maximum over all processes."""
        return value if self.mesh is None else int(self._reduce([float(value)], dist.ReduceOp.MAX)[0])

    def _reduce(self, values: list[float], operation: Any) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, operation)
        found: list[float] = tensor.tolist()
        return found

    def sum_of(self, sums: Any) -> Any:
        """`criteria.Sums` over all processes; names that some process lacks count as 0 there."""
        if self.mesh is not None:
            gathered: list[Any] = [None] * self.size
            dist.all_gather_object(gathered, dict(sums.totals))
            for name in sorted({name for each in gathered for name in each}):
                sums.totals[name] = sum(each.get(name, 0.0) for each in gathered)
        return sums

    def in_step(self, data: Any, examples: list[int], budget: int) -> Iterator[Turn]:
        """Microbatches of ``examples``, as many on every process: sharded layers are gathered together, so one that has
        fewer repeats a microbatch that does not count.
        """
        batches = list(data.microbatches(examples, budget)) if self.mesh is not None else None
        if batches is None:
            yield from (Turn(batch, True) for batch in data.microbatches(examples, budget))
            return
        filler = batches[0] if batches else next(iter(data.microbatches([0], budget)))
        missing = self.largest(len(batches)) - len(batches)
        yield from (Turn(batch, True) for batch in batches)
        yield from (Turn(filler, False) for _ in range(missing))

    def wait(self) -> None:
        """Until every process is here."""
        if self.mesh is not None:
            dist.barrier()

    def leave(self) -> None:
        """The run is over, on every process."""
        if self.mesh is not None:
            dist.barrier()
            dist.destroy_process_group()
            self.mesh = None


def end_process(code: int) -> None:
    """Exit with ``code``. Under torchrun without the interpreter's own end, which now and then aborts in gloo's threads
    ("terminate called without an active exception") after a run that is complete.
    """
    if world_size() == 1:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def world_size() -> int:
    """Processes that torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local(tensor: Any) -> Tensor:
    """The part of a tensor that this process holds."""
    found: Tensor = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return found


def whole(tensor: Any) -> Tensor:
    """The whole of a tensor; every process must ask."""
    found: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return found


def like(tensor: Tensor, model: Any) -> Tensor:
    """A whole tensor placed and sharded as ``model`` is."""
    if isinstance(model, DTensor):
        return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
    return tensor.to(model.device)
