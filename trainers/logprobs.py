"""Log-probs of response tokens from hidden states, through a vocabulary head that is never applied to all positions.

body (bf16 autocast) → hidden states at the positions before response tokens (M, H) → chunks of logits (C, V) → (M,).
The head has a backward of its own that recomputes each chunk, so memory does not grow with M x V.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.packing import Layout

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

    def to(self, device: torch.device) -> Microbatch:
        """Move the tensors that the model reads."""
        names = ("input_ids", "position_ids", "layout", "position", "target", "sequence")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class ChunkedLogProbs(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], chunk by chunk."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, chunk: int) -> Tensor:
        """hidden (M, H), weight (V, H), target (M,) → (M,), float32 unless the inputs are float64.

        The products are taken in ``hidden``'s dtype; the weight's gradient is summed and returned in its own.
        """
        ctx.save_for_backward(hidden, weight, target)
        ctx.chunk = chunk
        weight = weight.to(hidden.dtype)
        parts = []
        for states, wanted in zip(hidden.split(chunk), target.split(chunk), strict=True):
            logits = _wide(states @ weight.T)
            parts.append(logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1))
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """d/dlogits = g (onehot - softmax), pushed to hidden and weight."""
        hidden, weight, target = ctx.saved_tensors
        (gradient,) = gradients
        to_hidden, to_weight = torch.empty_like(hidden), None
        weight, own_dtype = weight.to(hidden.dtype), weight.dtype
        start = 0
        for states, wanted, scale in zip(
            hidden.split(ctx.chunk), target.split(ctx.chunk), gradient.split(ctx.chunk), strict=True
        ):
            slope = _wide(states @ weight.T)
            slope.sub_(slope.logsumexp(1, keepdim=True)).exp_().neg_()
            slope[torch.arange(len(wanted), device=wanted.device), wanted] += 1
            slope = slope.mul_(scale[:, None]).to(weight.dtype)
            to_hidden[start : start + len(wanted)] = slope @ weight
            part = (slope.T @ states).to(own_dtype)
            to_weight = part if to_weight is None else to_weight.add_(part)
            start += len(wanted)
        return to_hidden, to_weight, None, None


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def response_logprobs(model: Any, batch: Microbatch, autocast: str | None) -> Tensor:
    """(M,) natural-log probabilities of the microbatch's response tokens under ``model``."""
    device = batch.input_ids.device.type
    with autocast_context(device, autocast):
        hidden = model.base_model(
            input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False, layout=batch.layout
        ).last_hidden_state
    states = hidden[0, batch.position]
    weight = model.get_output_embeddings().weight
    if autocast is not None:
        states = states.to(getattr(torch, autocast))
    result: Tensor = ChunkedLogProbs.apply(states, weight, batch.target, CHUNK)
    return result


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
