"""The two element-wise parts of a decoder layer, with backwards that keep less: root-mean-square norm and SwiGLU.

As written in `transformers` a norm keeps three float32 copies of its input for the backward pass and each of the
linear layers behind it a cast of the output; here it keeps its input and one number a token, and hands the linear
layers the dtype they want. The gated layer keeps its two inputs. Same numbers, less memory, fewer passes.

Only modules whose output equals the plain formula's on random numbers are replaced, so that a norm that does
something else (an offset weight, say) stays as it is.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu


class RMSNorm(torch.autograd.Function):
    """weight * x / sqrt(mean(x^2) + eps), over the last dimension. Zhang & Sennrich 2019, eq. 4."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        """states (…, H), weight (H,) → (…, H) in ``dtype``; at least float32 inside."""
        wide = _wide(states)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = length.square_().div_(states.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(states, weight, inverse)
        return (weight * (wide * inverse).to(states.dtype)).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """With n = x * inverse and g = gradient * weight: inverse * (g - n * mean(g * n))."""
        states, weight, inverse = ctx.saved_tensors
        normal = _wide(states) * inverse
        gradient = _wide(gradients[0])
        to_weight = (gradient * normal).flatten(0, -2).sum(0).to(weight.dtype)
        gradient = _wide(gradient * weight)
        shift = (gradient * normal).mean(-1, keepdim=True)
        return (gradient.sub_(normal.mul_(shift)).mul_(inverse)).to(states.dtype), to_weight, None, None


class SwiGLU(torch.autograd.Function):
    """silu(gate) * up. Shazeer 2020, eq. 5."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Both (…, I) → (…, I)."""
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x)))."""
        gate, up = ctx.saved_tensors
        (gradient,) = gradients
        to_gate = torch.ops.aten.silu_backward(gradient * up, gate)
        return to_gate, silu(gate).mul_(gradient)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _norm_forward(self: Any, hidden_states: Tensor) -> Tensor:
    kind = hidden_states.device.type
    autocast = torch.is_autocast_enabled(kind) and hidden_states.dtype == torch.float32
    dtype = torch.get_autocast_dtype(kind) if autocast else hidden_states.dtype
    result: Tensor = RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon, dtype)
    return result


def _mlp_forward(self: Any, x: Tensor) -> Tensor:
    result: Tensor = self.down_proj(SwiGLU.apply(self.gate_proj(x), self.up_proj(x)))
    return result


def slim(model: Any) -> Any:
    """Replace the forward of every module that computes exactly one of the two; returns ``model``."""
    for module in model.modules():
        if _is_norm(module):
            module.forward = MethodType(_norm_forward, module)
        elif _is_gated(module):
            module.forward = MethodType(_mlp_forward, module)
    return model


@torch.no_grad()
def _is_norm(module: Any) -> bool:
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon"):
        return False
    weight = module.weight
    states = torch.linspace(-2, 3, 2 * weight.numel(), device=weight.device, dtype=weight.dtype).view(1, 2, -1)
    return _same(module(states), RMSNorm.apply(states, weight, module.variance_epsilon, weight.dtype))


@torch.no_grad()
def _is_gated(module: Any) -> bool:
    if not all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return False
    gate = torch.linspace(-3, 3, 64)
    return type(module).__name__.endswith("MLP") and _same(module.act_fn(gate), silu(gate))


def _same(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.allclose(first, second, rtol=1e-6, atol=1e-6)
