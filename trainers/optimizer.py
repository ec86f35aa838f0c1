"""AdamW over weights that are kept in one of four ways.

    float32               torch's fused AdamW
    bfloat16_master       bfloat16 weights for the model, float32 copies for the optimiser
    bfloat16_stochastic   bfloat16 weights; each update is rounded up or down at random, right on average
    bfloat16              bfloat16 weights and moments: updates under half a step of the weight are lost

Random bits are a function of seed, step and parameter, so a resumed run draws what the killed one would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from trainers.distributed import local

STORED = {"float32": torch.float32}  # any other setting stores bfloat16


def stored_dtype(weight_dtype: str) -> torch.dtype:
    """The dtype of the model's own weights."""
    return STORED.get(weight_dtype, torch.bfloat16)


def make_optimizer(spec: Any, parameters: Iterable[Tensor], rank: int = 0) -> torch.optim.Optimizer:
    """The optimiser of a train spec."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    settings = {"lr": spec.learning_rate, "betas": spec.adam_betas, "weight_decay": spec.weight_decay}
    if spec.weight_dtype in ("float32", "bfloat16"):
        return torch.optim.AdamW(trained, **settings, fused=True)
    return WideAdamW(trained, **settings, keep_master=spec.weight_dtype == "bfloat16_master", seed=(spec.seed, rank))


class WideAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) in float32 on bfloat16 weights."""

    def __init__(
        self,
        parameters: list[Tensor],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        keep_master: bool,
        seed: tuple[int, int],
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": 1e-8})
        self.keep_master, self.seed = keep_master, seed

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for number, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    self._update(group, number, parameter)

    def _update(self, group: dict[str, Any], number: int, parameter: Tensor) -> None:
        state = self.state[parameter] or self._begin(parameter)
        state["step"] += 1
        weight = local(state["master"]) if self.keep_master else local(parameter).float()
        gradient = local(parameter.grad).float()
        adamw(weight, gradient, local(state["exp_avg"]), local(state["exp_avg_sq"]), float(state["step"]), group)
        if not self.keep_master:
            weight = round_at_random(weight, [*self.seed, int(state["step"]), number])
        local(parameter).copy_(weight)

    def _begin(self, parameter: Tensor) -> dict[str, Any]:
        state = self.state[parameter]
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(parameter, dtype=torch.float32)
        state["exp_avg_sq"] = torch.zeros_like(parameter, dtype=torch.float32)
        if self.keep_master:
            state["master"] = parameter.detach().float().clone()
        return state


def adamw(weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: float, group: dict[str, Any]) -> None:
    """Update float32 ``weight`` and both moments in place."""
    beta1, beta2 = group["betas"]
    first.lerp_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    scale = (second / (1 - beta2**step)).sqrt_().add_(group["eps"])
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    weight.addcdiv_(first, scale, value=-group["lr"] / (1 - beta1**step))


def round_at_random(weight: Tensor, seed: list[int]) -> Tensor:
    """float32 → one of its two bfloat16 neighbours, the nearer the likelier, so that the mean is ``weight``.

    A uniform 16-bit number is added to the bits that bfloat16 has not, and these are cut off.
    """
    generator = torch.Generator(weight.device).manual_seed(_mixed(seed))
    bits = weight.contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, generator=generator, device=weight.device, dtype=torch.int32)
    return ((bits + noise) & -65536).view(torch.float32).to(torch.bfloat16)


def _mixed(numbers: list[int]) -> int:
    import numpy as np

    return int(np.random.SeedSequence([number % (1 << 32) for number in numbers]).generate_state(1, np.uint64)[0] >> 1)
