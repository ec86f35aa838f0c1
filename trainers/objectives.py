"""Losses as pure functions of log-probs. Sums, not means: the loop divides by the global batch's tokens or pairs.

Derived in docs/objectives.md from the token MDP of "Implicit Reward as the Bridge" (arXiv 2507.00018), whose own
formulas
were not available. DPO: Rafailov et al. 2023, eq. 7.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainers.divergences import Divergence


def sft_loss(logprobs: Tensor) -> Tensor:
    """Negative log-likelihood, summed. ``logprobs``: (M,) of response tokens."""
    return -logprobs.sum()


def f_sft_token_loss(logprobs: Tensor, reference: Tensor, divergence: Divergence, beta: float) -> Tensor:
    """-sum phi(beta d_t) / beta with d_t = log pi - log pi_0; both (M,). Its gradient is SFT's, each token times
    phi'.
    """
    return -divergence.phi(beta * (logprobs - reference)).sum() / beta


def dpo_margin(policy: Tensor, reference: Tensor) -> Tensor:
    """D = (log-ratio of chosen) - (log-ratio of rejected); inputs (P, 2) sums over response tokens, chosen first."""
    ratio = policy - reference
    return ratio[:, 0] - ratio[:, 1]


def dpo_loss(policy: Tensor, reference: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Sum over pairs of -(1-e) logsigmoid(beta D) - e logsigmoid(-beta D); log 2 a pair where policy = reference."""
    scaled = beta * dpo_margin(policy, reference)
    return -((1 - label_smoothing) * logsigmoid(scaled) + label_smoothing * logsigmoid(-scaled)).sum()


def sequence_sums(values: Tensor, sequence: Tensor, count: int) -> Tensor:
    """Sum (M,) token values into (count,) sequences; ``sequence`` (M,) says which sequence a token belongs to."""
    return torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, sequence, values)
