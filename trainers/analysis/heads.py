"""Numbers of states from hidden states, through a vocabulary head applied to a few hundred positions at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainers.analysis.responses import Packed

CHUNK = 256  # positions at a time; drift holds the logits of two models for them


def hidden_states(model: Any, batch: Packed) -> Tensor:
    """(P, H) last hidden states at the places of interest, in the weights' own dtype."""
    hidden: Tensor = model.base_model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, layout=batch.layout
    ).last_hidden_state
    return hidden[0, batch.place]


def token_scores(model: Any, hidden: Tensor, target: Tensor, chunk: int = CHUNK) -> tuple[Tensor, Tensor]:
    """hidden (P, H), target (P,) → (log-prob of the target, logsumexp of the logits), (P,) each."""
    weight = model.get_output_embeddings().weight
    chosen, normaliser = [], []
    for states, wanted in zip(hidden.split(chunk), target.split(chunk), strict=True):
        logits = states @ weight.T  # (C, V)
        normaliser.append(logits.logsumexp(1))
        chosen.append(logits.gather(1, wanted[:, None])[:, 0] - normaliser[-1])
    return torch.cat(chosen), torch.cat(normaliser)


def exact_kl(
    model: Any, reference: Any, hidden: Tensor, hidden0: Tensor, target: Tensor, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """KL(pi(.|s) || pi_0(.|s)) over the whole vocabulary and d = log pi - log pi_0 of the target, (P,) each, in nats.

    hidden and hidden0 (P, H) are the two models' states at the same places.
    """
    weight, weight0 = (each.get_output_embeddings().weight for each in (model, reference))
    divergence, ratio = [], []
    for states, states0, wanted in zip(hidden.split(chunk), hidden0.split(chunk), target.split(chunk), strict=True):
        policy = (states @ weight.T).log_softmax(1)  # (C, V)
        difference = policy - (states0 @ weight0.T).log_softmax(1)
        divergence.append((policy.exp() * difference).sum(1))
        ratio.append(difference.gather(1, wanted[:, None])[:, 0])
    return torch.cat(divergence), torch.cat(ratio)
