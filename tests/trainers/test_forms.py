"""The three forms of f-SFT on several turns, one of them truncated: identities that hold for any logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers import objectives
from trainers.divergences import TABLE, Divergence
from trainers.turns import Turns

FORMS = ("token", "sequence", "soft_value")
DIVERGENCES = [Divergence(name, curvature) for name in TABLE for curvature in ("unit", "raw")]
DIVERGENCES += [Divergence("pearson_chi2", "raw", beyond="stop")]
DIVERGENCES += [Divergence("alpha", alpha=alpha) for alpha in (-1.0, 0.3, 1.5, 2.0, 3.0)]
IDS = [f"{d.name}{d.alpha or ''}-{d.curvature}-{d.beyond}" for d in DIVERGENCES]
BETA = 0.3

# places in a packed row: a turn of 4, one of 3 cut off, and two that touch without a prompt token between them
PLACES = np.array([3, 4, 5, 6, 11, 12, 13, 20, 21, 22, 23])
ENDED = np.array([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1], dtype=bool)
SPANS = [(0, 4), (4, 7), (7, 9), (9, 11)]
TURNS = Turns.of(PLACES, ENDED, PLACES)
VOCABULARY = 13
TARGET = torch.arange(len(PLACES)) % VOCABULARY


def logits(seed: int, scale: float = 1.0) -> Tensor:
    """One row per state: those before the response tokens, and the one behind the truncated turn."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(len(PLACES) + 1, VOCABULARY, generator=generator, dtype=torch.float64)


def loss(policy: Tensor, base: Tensor, form: str, divergence: Divergence, gauge: str = "reference") -> Tensor:
    logprob, reference = (each.log_softmax(-1)[:-1].gather(1, TARGET[:, None])[:, 0] for each in (policy, base))
    if form == "token":
        return objectives.f_sft_loss(objectives.token_reward(logprob, reference, BETA), divergence, BETA)
    if form == "sequence":
        return objectives.f_sft_loss(objectives.sequence_reward(logprob, reference, BETA, TURNS), divergence, BETA)
    value = BETA * (policy.logsumexp(-1) - (base.logsumexp(-1) if gauge == "reference" else 0))
    reward, at_start = objectives.soft_value_reward(logprob, reference, value[:-1], value[-1:], BETA, TURNS)
    return objectives.f_sft_loss(reward, divergence, BETA, at_start)


def gradient(policy: Tensor, base: Tensor, form: str, divergence: Divergence) -> Tensor:
    policy = policy.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(policy, base, form, divergence), policy)
    return found


def sft_gradient(policy: Tensor) -> Tensor:
    policy = policy.clone().requires_grad_()
    chosen = policy.log_softmax(-1)[:-1].gather(1, TARGET[:, None])
    (found,) = torch.autograd.grad(objectives.sft_loss(chosen), policy)
    return found


def test_turns_are_runs_that_an_end_of_turn_token_closes() -> None:
    assert TURNS.first.tolist() == [begin for begin, _ in SPANS]
    assert TURNS.last.tolist() == [end - 1 for _, end in SPANS]
    assert TURNS.of_token.tolist() == [0] * 4 + [1] * 3 + [2] * 2 + [3] * 2
    assert TURNS.tail.tolist() == [6]
    assert TURNS.tail_position.tolist() == [13]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("divergence", DIVERGENCES, ids=IDS)
def test_at_the_reference_every_gradient_is_sfts(form: str, divergence: Divergence) -> None:
    base = logits(0)
    torch.testing.assert_close(gradient(base, base, form, divergence), sft_gradient(base), atol=1e-12, rtol=0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_total_variation_is_sft_everywhere_up_to_the_references_log_likelihood(form: str, seed: int) -> None:
    policy, base = logits(seed, 3.0), logits(0)
    divergence = Divergence("total_variation")
    torch.testing.assert_close(gradient(policy, base, form, divergence), sft_gradient(policy), atol=1e-12, rtol=0)
    chosen = [each.log_softmax(-1)[:-1].gather(1, TARGET[:, None]) for each in (policy, base)]
    difference = loss(policy, base, form, divergence) - objectives.sft_loss(chosen[0])
    assert float(difference) == pytest.approx(float(chosen[1].sum()), abs=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("divergence", DIVERGENCES, ids=IDS)
def test_no_loss_is_below_the_total_variation_loss(form: str, divergence: Divergence) -> None:
    for seed in range(3, 8):
        policy, base = logits(seed, 4.0), logits(0)
        floor = loss(policy, base, form, Divergence("total_variation"))
        assert float(loss(policy, base, form, divergence)) >= float(floor) - 1e-9


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("divergence", DIVERGENCES, ids=IDS)
def test_far_from_the_reference_a_curved_divergence_pulls_otherwise_than_sft(form: str, divergence: Divergence) -> None:
    found = gradient(logits(9, 4.0), logits(0), form, divergence)
    assert bool(found.isfinite().all())
    same = torch.allclose(found, sft_gradient(logits(9, 4.0)), atol=1e-6)
    assert same == (divergence.name == "total_variation")


@pytest.mark.parametrize("form", ["token", "sequence"])
def test_without_values_the_gradient_is_sfts_weighted_by_the_slope(form: str) -> None:
    policy, base, divergence = logits(10, 2.0), logits(0), Divergence("jensen_shannon")
    logprob, reference = (each.log_softmax(-1)[:-1].gather(1, TARGET[:, None])[:, 0] for each in (policy, base))
    difference = BETA * (logprob - reference)
    for begin, end in SPANS if form == "sequence" else []:
        difference[begin:end] = difference[begin:end].sum()
    weight = torch.cat([divergence.slope(difference), torch.zeros(1, dtype=torch.float64)])
    torch.testing.assert_close(
        gradient(policy, base, form, divergence), weight[:, None] * sft_gradient(policy), atol=1e-12, rtol=0
    )


def test_the_soft_value_loss_equals_its_formula_turn_by_turn() -> None:
    policy, base, divergence = logits(11, 2.0), logits(0), Divergence("squared_hellinger", "raw")
    value = (BETA * (policy.logsumexp(-1) - base.logsumexp(-1))).tolist()
    d = (policy.log_softmax(-1) - base.log_softmax(-1))[:-1].gather(1, TARGET[:, None])[:, 0].tolist()
    total = 0.0
    for (begin, end), truncated in zip(SPANS, [False, True, False, False], strict=True):
        behind = value[-1] if truncated else 0.0
        following = [*value[begin + 1 : end], behind]
        for t, after in zip(range(begin, end), following, strict=True):
            reward = torch.tensor(BETA * d[t] + value[t] - after, dtype=torch.float64)
            total -= float(divergence.phi(reward))
        total += value[begin] - behind
    assert float(loss(policy, base, "soft_value", divergence)) == pytest.approx(total / BETA, rel=1e-12)


def test_logits_read_as_q_give_values_that_are_soft_maxima_and_advantages_that_are_log_ratios() -> None:
    policy, base = logits(12, 2.0), logits(0)
    q = BETA * (policy - base)
    value = BETA * (policy.logsumexp(-1) - base.logsumexp(-1))
    soft_maximum = BETA * (base.log_softmax(-1) + q / BETA).logsumexp(-1)
    torch.testing.assert_close(value, soft_maximum, atol=1e-12, rtol=0)
    log_ratio = BETA * (policy.log_softmax(-1) - base.log_softmax(-1))
    torch.testing.assert_close(log_ratio, q - value[:, None], atol=1e-12, rtol=0)


def test_in_the_raw_gauge_the_start_is_not_sfts() -> None:
    base = logits(0).requires_grad_()
    raw = loss(base, base.detach(), "soft_value", Divergence("jensen_shannon"), gauge="raw")
    (found,) = torch.autograd.grad(raw, base)
    assert not torch.allclose(found, sft_gradient(base.detach()), atol=1e-3)


@pytest.mark.parametrize("form", ["token", "sequence"])
def test_pearson_stops_pulling_at_two_and_then_pushes_back_or_not(form: str) -> None:
    turns = Turns.of(np.array([1, 4]), np.array([True, True]), np.array([1, 4]))  # two turns of one token
    logprob = torch.tensor([2 / BETA, 3 / BETA], dtype=torch.float64, requires_grad=True)
    for beyond, expected in (("reverse", [0.0, 0.5]), ("stop", [0.0, 0.0])):
        divergence = Divergence("pearson_chi2", "raw", beyond=beyond)
        if form == "token":
            reward = objectives.token_reward(logprob, torch.zeros_like(logprob), BETA)
        else:
            reward = objectives.sequence_reward(logprob, torch.zeros_like(logprob), BETA, turns)
        (found,) = torch.autograd.grad(objectives.f_sft_loss(reward, divergence, BETA), logprob)
        assert found.tolist() == pytest.approx(expected, abs=1e-12)
