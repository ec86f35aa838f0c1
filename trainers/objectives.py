"""Losses as pure functions of log-probs. Sums, not means: the loop divides by the global batch's tokens or pairs.

From top to bottom: maximum likelihood; its three f-divergence forms, which differ in what they take for the reward
``x`` under phi and in the value term; direct preference optimisation and the scores that f-DPO puts in it.

Derived in docs/objectives.md from the token MDP of "Implicit Reward as the Bridge" (arXiv 2507.00018), whose own
formulas were not available. DPO: Rafailov et al. 2023, eq. 7. f-DPO: Wang et al. 2023, arXiv 2309.16240.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainers.divergences import Divergence
from trainers.turns import Turns

LARGEST_EXPONENT = 80.0  # exp(80) is still a float32; TRL 1.16 clamps its alpha divergence there


def sft_loss(logprobs: Tensor) -> Tensor:
    """Negative log-likelihood, summed. ``logprobs``: (M,) of response tokens."""
    return -logprobs.sum()


def f_sft_loss(reward: Tensor, divergence: Divergence, beta: float, value: Tensor | None = None) -> Tensor:
    """[-sum phi(reward) + sum value] / beta.

    ``reward``: one element a token or a turn, made by one of the three functions below; ``value``: (T,), the
    value term of `soft_value_reward`, nothing in the other forms. Divided by beta, the gradient at the reference is
    SFT's.
    """
    total = -divergence.phi(reward).sum()
    return (total if value is None else total + value.sum()) / beta


def token_reward(logprobs: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Form ``token``: beta d_t with d_t = log pi - log pi_0; all (M,). The gradient is SFT's, each token times phi'."""
    return beta * (logprobs - reference)


def sequence_reward(logprobs: Tensor, reference: Tensor, beta: float, turns: Turns) -> Tensor:
    """Form ``sequence``: beta sum_t d_t of each turn, (T,). The gradient is SFT's, a turn's tokens times its phi'."""
    return beta * sequence_sums(logprobs - reference, turns.of_token, len(turns))


def soft_value_reward(
    logprobs: Tensor, reference: Tensor, value: Tensor, tail: Tensor, beta: float, turns: Turns
) -> tuple[Tensor, Tensor]:
    """Form ``soft_value``: r_t = beta d_t + V_t - V_{t+1}, (M,), and each turn's value term, (T,).

    ``value`` (M,) is V at the states that predict the response tokens, ``tail`` (K,) V behind the last token of each
    truncated turn; behind an end-of-turn token it is 0. The value term is V at a turn's first state, less the tail's:
    of a truncated turn only the part before the cut is known, and V_0 - V_tail is what that part is worth. So with
    phi(x) = x the values telescope in every turn, cut or not, and what is left is SFT.
    """
    behind = torch.zeros_like(value).index_put((turns.tail,), tail)  # of the token that ends a turn
    inside = torch.cat([value[1:], value.new_zeros(1)])
    ends = torch.zeros_like(value, dtype=torch.bool).index_fill(0, turns.last, True)
    following = torch.where(ends, behind, inside)
    reward = beta * (logprobs - reference) + value - following
    return reward, value[turns.first] - behind[turns.last]


def dpo_loss(
    policy: Tensor,
    reference: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
    divergence: str = "reverse_kl",
    alpha: float | None = None,
) -> Tensor:
    """Sum over pairs of -(1-e) logsigmoid(beta D) - e logsigmoid(-beta D); log 2 a pair where policy = reference.

    ``policy``, ``reference``: (P, 2) sums over response tokens, chosen first. D = score(chosen) - score(rejected).
    """
    score = dpo_score(policy - reference, divergence, alpha)
    scaled = beta * (score[:, 0] - score[:, 1])
    return -((1 - label_smoothing) * logsigmoid(scaled) + label_smoothing * logsigmoid(-scaled)).sum()


def dpo_score(ratio: Tensor, divergence: str = "reverse_kl", alpha: float | None = None) -> Tensor:
    """f'(pi / pi_ref) of log-ratios, less its constant, which cancels in a pair; any shape. Plain DPO: the ratio.

    f-DPO's table 1; ``alpha`` as TRL 1.16 has it, (u^(a-1) - 1) / (a - 1) with the exponent at most 80. The same bound
    holds for forward_kl, which is alpha 0; TRL leaves that one unbounded and overflows at 88.
    """
    if divergence == "reverse_kl":
        return ratio
    if divergence == "forward_kl":
        return -torch.exp((-ratio).clamp(max=LARGEST_EXPONENT))
    if divergence == "jensen_shannon":
        return logsigmoid(ratio)
    if divergence == "alpha" and alpha is not None:
        power = alpha - 1
        if abs(power) < 1e-6:
            return ratio
        return (torch.exp((power * ratio).clamp(max=LARGEST_EXPONENT)) - 1) / power
    raise ValueError(f'there is no preference score for "{divergence}" (alpha {alpha})')


def sequence_sums(values: Tensor, sequence: Tensor, count: int) -> Tensor:
    """Sum (M,) token values into (count,) sequences; ``sequence`` (M,) says which sequence a token belongs to."""
    return torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, sequence, values)
