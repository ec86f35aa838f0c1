"""The parts that keep less for their backward pass, against what autograd makes of the formulas."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention, silu

from trainers.attention import PIECE, causal_attention
from trainers.checkpoint import load_model
from trainers.lean import SwiGLU
from trainers.packing import Layout


@pytest.mark.parametrize("length", [17, PIECE, 2 * PIECE + 3])
@pytest.mark.parametrize(("heads", "groups"), [(6, 6), (6, 2), (4, 1)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 0.05)]
)
def test_attention_as_products_equals_torchs_own_with_its_gradients(
    heads: int, groups: int, length: int, dtype: torch.dtype, tolerance: float
) -> None:
    generator = torch.Generator().manual_seed(0)

    def states(count: int) -> torch.Tensor:
        return torch.randn(2, count, length, 8, dtype=dtype, generator=generator).requires_grad_()

    inputs = states(heads), states(groups), states(groups)
    slope = torch.randn(2, heads, length, 8, dtype=dtype, generator=generator)
    ours = causal_attention(*inputs, None)
    theirs = scaled_dot_product_attention(*inputs, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)
    found, expected = (torch.autograd.grad(out, inputs, slope) for out in (ours, theirs))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=tolerance, rtol=tolerance)


def test_the_gate_has_autograds_gradient() -> None:
    gate, up = (torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(SwiGLU.apply, (gate, up))
    torch.testing.assert_close(SwiGLU.apply(gate, up), silu(gate) * up)


@pytest.mark.parametrize("autocast", [False, True])
def test_a_slimmed_model_computes_the_same_numbers_and_gradients(tiny_checkpoint: Path, autocast: bool) -> None:
    ids = torch.arange(3, 203)[None]
    slope = torch.randn(1, 200, 128, generator=torch.Generator().manual_seed(0))
    found = []
    for packed in (False, True):
        model = load_model(tiny_checkpoint, torch.float32, "cpu", packed=packed)
        more = {"layout": Layout.of([200], 200)} if packed else {}
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            hidden = model.base_model(input_ids=ids, position_ids=torch.arange(200)[None], **more).last_hidden_state
        (hidden.float() * slope).sum().backward()
        found.append((hidden.float(), [parameter.grad for parameter in model.parameters()]))
        changed = "forward" in vars(model.model.layers[0].mlp) and "forward" in vars(model.model.norm)
        assert changed == packed
    tolerance = 0.05 if autocast else 2e-5
    torch.testing.assert_close(found[0][0], found[1][0], atol=tolerance, rtol=tolerance)
    for plain, slim in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(slim, plain, atol=tolerance * float(plain.abs().max()), rtol=tolerance)


def test_a_norm_that_computes_something_else_stays_as_it_is() -> None:
    from trainers.lean import slim

    class OffsetRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.zeros(8)), 1e-6

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return states * (states.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * (1 + self.weight)

    norm = OffsetRMSNorm()
    slim(norm)
    assert "forward" not in vars(norm)
