"""Do the weights really move? Rounding can swallow small updates, and that confounds the effect of a learning rate.

Of a fixed sample of elements: the share with a non-zero intended update whose stored value changed, and |applied| /
|intended|.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from trainers.distributed import World, local

STRIDE = 1021  # one element in about a thousand, a prime so that no row or column pattern is followed


class UpdateMeter:
    """Compares AdamW's intended update, in float64 from its own state, with what the stored weights did."""

    def __init__(self, optimizer: torch.optim.Optimizer, world: World) -> None:
        self.optimizer, self.world = optimizer, world
        self.before: list[Tensor] = []

    def open(self) -> None:
        """Remember the sampled weights before a step."""
        self.before = [_sample(self._stored(parameter)).double() for _, parameter in self._parameters()]

    def close(self) -> dict[str, float]:
        """``surviving_updates`` and ``applied_over_intended`` of the step just taken; empty if nothing should move."""
        moved = wanted = applied_sum = intended_sum = 0.0
        for before, (group, parameter) in zip(self.before, self._parameters(), strict=True):
            intended = self._intended(group, parameter, before)
            applied = _sample(self._stored(parameter)).double() - before
            live = intended != 0
            moved += int((applied[live] != 0).sum())
            wanted += int(live.sum())
            applied_sum += float(applied.abs().sum())
            intended_sum += float(intended.abs().sum())
        moved, wanted, applied_sum, intended_sum = self.world.sum([moved, wanted, applied_sum, intended_sum])
        if not wanted or not intended_sum:
            return {}
        return {"surviving_updates": moved / wanted, "applied_over_intended": applied_sum / intended_sum}

    def _stored(self, parameter: Tensor) -> Tensor:
        """What an update is added to: the float32 copy where there is one."""
        found: Tensor = self.optimizer.state.get(parameter, {}).get("master", parameter.data)
        return found

    def _parameters(self) -> list[tuple[dict[str, Any], Tensor]]:
        return [(group, parameter) for group in self.optimizer.param_groups for parameter in group["params"]]

    def _intended(self, group: dict[str, Any], parameter: Tensor, before: Tensor) -> Tensor:
        """AdamW, Loshchilov & Hutter 2019, algorithm 2."""
        state = self.optimizer.state.get(parameter)
        if not state:
            return torch.zeros_like(before)
        step, (beta1, beta2) = float(state["step"]), group["betas"]
        first = _sample(state["exp_avg"]).double() / (1 - beta1**step)
        second = _sample(state["exp_avg_sq"]).double() / (1 - beta2**step)
        return -group["lr"] * (first / (second.sqrt() + group["eps"]) + group["weight_decay"] * before)


def _sample(tensor: Tensor) -> Tensor:
    tensor = local(tensor)
    return tensor.flatten()[::STRIDE] if tensor.numel() > STRIDE else tensor.flatten()


@torch.no_grad()
def saved_survival(weights: dict[str, Tensor], start: Path, saved: Path) -> float | None:
    """Of the sampled ``weights`` that training moved, the share that differs from ``start`` in the ``saved`` checkpoint
    too; None if nothing moved.
    """
    with _Weights(start) as before, _Weights(saved) as after:
        moved = kept = 0
        for name, tensor in weights.items():
            if name not in before or name not in after:
                continue
            first = _sample(before[name]).to(torch.float32)
            changed = _sample(tensor).cpu().to(torch.float32) != first
            moved += int(changed.sum())
            kept += int((_sample(after[name]).to(torch.float32)[changed] != first[changed]).sum())
    return kept / moved if moved else None


class _Weights:
    """Tensors of a safetensors checkpoint by name, read one at a time."""

    def __init__(self, directory: Path) -> None:
        self.paths = sorted(directory.glob("*.safetensors"))
        self.where: dict[str, Any] = {}

    def __enter__(self) -> _Weights:
        handles = [safe_open(path, framework="pt") for path in self.paths]
        self.where = {name: handle for handle in handles for name in handle.keys()}  # noqa: SIM118
        return self

    def __exit__(self, *_: object) -> None:
        self.where = {}

    def __contains__(self, name: str) -> bool:
        return name in self.where

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self.where[name].get_tensor(name)
        return tensor
