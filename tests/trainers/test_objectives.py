"""Identities of the objectives (no trust needed), and equality with a library that others wrote."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers import objectives
from trainers.divergences import TABLE, Divergence


def tokens(seed: int, n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = -5 * torch.rand(n, generator=generator, dtype=torch.float64)
    logprobs = reference + 2 * torch.randn(n, generator=generator, dtype=torch.float64)
    return logprobs.requires_grad_(), reference


def token_loss(logprobs: torch.Tensor, reference: torch.Tensor, divergence: Divergence, beta: float) -> torch.Tensor:
    return objectives.f_sft_loss(objectives.token_reward(logprobs, reference, beta), divergence, beta)


@pytest.mark.parametrize("name", [*TABLE])
def test_at_the_reference_every_f_sft_gradient_is_sfts(name: str) -> None:
    _, reference = tokens(0)
    logprobs = reference.clone().requires_grad_()
    loss = token_loss(logprobs, reference, Divergence(name), beta=0.3)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    torch.testing.assert_close(gradient, -torch.ones_like(gradient), atol=1e-12, rtol=0)


def test_total_variation_is_sft_everywhere_up_to_a_constant() -> None:
    logprobs, reference = tokens(1)
    ours = token_loss(logprobs, reference, Divergence("total_variation"), beta=0.7)
    plain = objectives.sft_loss(logprobs)
    assert (ours - plain).item() == pytest.approx(float(reference.sum()), rel=1e-12)
    for gradient in torch.autograd.grad(ours, logprobs):
        torch.testing.assert_close(gradient, -torch.ones_like(gradient))


@pytest.mark.parametrize("name", [*TABLE])
def test_no_f_sft_loss_is_below_the_total_variation_loss(name: str) -> None:
    logprobs, reference = tokens(2)
    floor = token_loss(logprobs, reference, Divergence("total_variation"), beta=0.3)
    loss = token_loss(logprobs, reference, Divergence(name), beta=0.3)
    assert loss.item() >= floor.item() - 1e-9


def test_the_gradient_of_f_sft_weighs_each_token_by_the_slope() -> None:
    logprobs, reference = tokens(3)
    divergence = Divergence("jensen_shannon")
    (gradient,) = torch.autograd.grad(token_loss(logprobs, reference, divergence, beta=0.3), logprobs)
    expected = -divergence.slope(0.3 * (logprobs.detach() - reference))
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-12)


def test_dpo_starts_at_log_two_when_the_reference_is_the_policy_and_not_otherwise() -> None:
    generator = torch.Generator().manual_seed(0)
    policy = torch.randn(6, 2, dtype=torch.float64, generator=generator)
    assert float(objectives.dpo_loss(policy, policy, 0.1)) / 6 == pytest.approx(math.log(2), abs=1e-12)
    other = policy + torch.randn(6, 2, dtype=torch.float64, generator=generator)
    assert abs(float(objectives.dpo_loss(policy, other, 0.1)) / 6 - math.log(2)) > 1e-3


def test_label_smoothing_of_one_half_less_a_bit_mixes_both_directions() -> None:
    policy, reference = torch.randn(4, 2, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)
    forward = objectives.dpo_loss(policy, reference, 0.5)
    backward = objectives.dpo_loss(policy.flip(1), reference, 0.5)
    smoothed = objectives.dpo_loss(policy, reference, 0.5, label_smoothing=0.2)
    assert float(smoothed) == pytest.approx(float(0.8 * forward + 0.2 * backward), rel=1e-12)


def test_reference_values_are_nan_exactly_where_nothing_is_trained_on(
    references: dict[str, Path], sft_data: Path
) -> None:
    values = np.load(references["sft"] / "logprobs.npy")
    mask = np.load(sft_data / "loss_mask.npy").astype(bool)
    assert (np.isnan(values) == ~mask).all()
