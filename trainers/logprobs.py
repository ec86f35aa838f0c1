"""Log-probs of response tokens from hidden states, through a vocabulary head that is never applied to all positions.

    body (bf16 autocast) → hidden states at the positions before response tokens (M, H) → chunks of logits (C, V)
    → per position the log-prob of its token and logsumexp of its logits, (M,) each.

The head has a backward of its own that recomputes each chunk, so memory does not grow with M x V. logsumexp costs
nothing more: the log-prob needs it. It is the value of a state when logits are read as Q (docs/objectives.md, 5).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.packing import Layout
from trainers.turns import Turns

CHUNK = 512  # positions at a time: 512 x 49,152 float32 logits are 100 MB
# final-logit transforms that this head does not apply; a model that has one would get wrong log-probs
UNSUPPORTED_HEAD_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


@dataclass(frozen=True)
class Microbatch:
    """Packed sequences and where their response tokens are; N tokens in one row, M of them trained on."""

    input_ids: Tensor  # (1, N) int64
    position_ids: Tensor  # (1, N) place within the own sequence
    layout: Layout
    position: Tensor  # (M,) index into N of the state that predicts the token
    target: Tensor  # (M,) the response token
    sequence: Tensor  # (M,) which of the sequences it belongs to
    token: Tensor  # (M,) its index in the tokenised data's flat arrays
    rows: list[int]  # sequence numbers in the data
    turns: Turns

    def to(self, device: torch.device) -> Microbatch:
        """Move the tensors that the model reads."""
        names = ("input_ids", "position_ids", "layout", "position", "target", "sequence", "turns")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class Scores:
    """What the head says of the response tokens, all natural logarithms."""

    logprob: Tensor  # (M,) of the response tokens
    logsumexp: Tensor  # (M,) of the logits that predict them
    tail: Tensor  # (K,) of the logits behind the last token of each truncated turn; empty unless asked for


class ChunkedLogProbs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target] and logsumexp(hidden @ weight.T), chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """hidden (M, H), weight (V, H), target (M,) → twice (M,), float32 unless the inputs are float64.

        The products are taken in ``hidden``'s dtype; the weight's gradient is summed and returned in its own.
        """
        ctx.save_for_backward(hidden, weight, target)
        ctx.chunk = chunk
        weight = weight.to(hidden.dtype)
        chosen, normaliser = [], []
        for states, wanted in zip(hidden.split(chunk), target.split(chunk), strict=True):
            logits = _wide(states @ weight.T)
            normaliser.append(logits.logsumexp(1))
            chosen.append(logits.gather(1, wanted[:, None])[:, 0] - normaliser[-1])
        return torch.cat(chosen), torch.cat(normaliser)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """d/dlogits = g (onehot - softmax) + h softmax, g of the log-prob, h of logsumexp; pushed to hidden and
        weight.
        """
        hidden, weight, target = ctx.saved_tensors
        to_token, to_normaliser = gradients
        to_hidden, to_weight = torch.empty_like(hidden), None
        weight, own_dtype = weight.to(hidden.dtype), weight.dtype
        start = 0
        parts = (each.split(ctx.chunk) for each in (hidden, target, to_token, to_normaliser - to_token))
        for states, wanted, onehot, spread in zip(*parts, strict=True):
            slope = _wide(states @ weight.T)
            slope.sub_(slope.logsumexp(1, keepdim=True)).exp_().mul_(spread[:, None])
            slope[torch.arange(len(wanted), device=wanted.device), wanted] += onehot
            slope = slope.to(weight.dtype)
            to_hidden[start : start + len(wanted)] = slope @ weight
            part = (slope.T @ states).to(own_dtype)
            to_weight = part if to_weight is None else to_weight.add_(part)
            start += len(wanted)
        return to_hidden, to_weight, None, None


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def response_scores(model: Any, batch: Microbatch, autocast: str | None, *, tails: bool = False) -> Scores:
    """`Scores` of the response tokens under ``model``; ``tails`` adds the states behind truncated turns."""
    device = batch.input_ids.device.type
    with autocast_context(device, autocast):
        hidden = model.base_model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, layout=batch.layout
        ).last_hidden_state
    position, target, count = batch.position, batch.target, len(batch.position)
    if tails:
        ends = batch.turns.tail_position
        # no token follows there, only logsumexp is read: any target will do
        position, target = torch.cat([position, ends]), torch.cat([target, torch.zeros_like(ends)])
    states = hidden[0, position]
    weight = model.get_output_embeddings().weight
    if autocast is not None:
        states = states.to(getattr(torch, autocast))
    logprob, normaliser = ChunkedLogProbs.apply(states, weight, target, CHUNK)
    return Scores(logprob[:count], normaliser[:count], normaliser[count:])


def response_logprobs(model: Any, batch: Microbatch, autocast: str | None) -> Tensor:
    """(M,) natural-log probabilities of the microbatch's response tokens under ``model``."""
    return response_scores(model, batch, autocast).logprob


def autocast_context(device: str, autocast: str | None) -> contextlib.AbstractContextManager[Any]:
    """Mixed-precision arithmetic for the body, or nothing."""
    if autocast is None:
        return contextlib.nullcontext()
    return torch.autocast(device, getattr(torch, autocast))


def check_head(model: Any) -> None:
    """Refuse a model whose logits are more than hidden @ weight.T. Raises TrainerError."""
    for name in UNSUPPORTED_HEAD_SETTINGS:
        if getattr(model.config, name, None) not in (None, 1, 1.0):
            raise TrainerError(f"this model sets {name}, which the trainers' vocabulary head does not apply.")
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise TrainerError("this model has no plain output head (a weight without bias).")
