"""Log-probs of response tokens from hidden states, through a vocabulary head that is never applied to all positions.

    body (bf16 autocast) → hidden states at the positions before response tokens (M, H) → chunks of logits (C, V)
    → per position the log-prob of its token and logsumexp of its logits, (M,) each.

The head has a backward of its own. For a small microbatch it keeps d log-prob / d logits in the dtype of the products;
for a large one it computes each chunk anew, so memory does not grow with M x V. logsumexp costs nothing more: the
log-prob needs it. It is the value of a state when logits are read as Q (docs/objectives.md, 5).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.packing import Layout
from trainers.turns import Turns

CHUNK = 512  # positions at a time: 512 x 49,152 float32 logits are 100 MB
SMALL_CHUNK = 256  # where the slopes are kept: the backward pass takes all positions at once
KEPT = 1 << 27  # bytes of slopes that are worth keeping: 1,365 positions x 49,152 in bfloat16
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
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, chunk: int, keep: bool = False
    ) -> tuple[Tensor, Tensor]:
        """hidden (M, H), weight (V, H), target (M,) → twice (M,), float32 unless the inputs are float64.

        The products are taken in ``hidden``'s dtype; the weight's gradient is summed and returned in its own. With
        ``keep`` the slopes (M, V) of a pass that will be differentiated are kept in ``hidden``'s dtype, which saves
        the backward pass a product of that size; otherwise it computes them anew, a chunk at a time.
        """
        ctx.chunk, ctx.own_dtype = chunk, weight.dtype
        weight = weight.to(hidden.dtype)
        ctx.save_for_backward(hidden, weight, target)
        keep = keep and any(ctx.needs_input_grad)
        ctx.slopes = hidden.new_empty(len(hidden), len(weight)) if keep else None
        chosen, normaliser, start = [], [], 0
        for states, wanted in zip(hidden.split(chunk), target.split(chunk), strict=True):
            logits = states @ weight.T
            if ctx.slopes is None:
                normaliser.append(torch.cat([_wide(some).logsumexp(1) for some in logits.split(_rows(logits))]))
            else:
                normaliser.append(_keep_slopes(logits, wanted, ctx.slopes[start : start + len(wanted)]))
            chosen.append(_wide(logits.gather(1, wanted[:, None])[:, 0]) - normaliser[-1])
            start += len(wanted)
        return torch.cat(chosen), torch.cat(normaliser)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        """With s = softmax - onehot, g the log-prob's and h logsumexp's gradient: d/dlogits = (h - g) s + h onehot,
        pushed to hidden and weight.
        """
        hidden, weight, target = ctx.saved_tensors
        to_token, to_normaliser = gradients
        slopes, ctx.slopes = ctx.slopes, None
        parts = [(slice(0, len(hidden)), slopes)] if slopes is not None else _slopes(hidden, weight, target, ctx.chunk)
        to_hidden, to_weight = torch.empty_like(hidden), None
        for rows, slope in parts:
            spread = (to_normaliser[rows] - to_token[rows])[:, None]
            to_hidden[rows] = (slope @ weight) * spread
            if ctx.needs_input_grad[1]:
                part = (slope.T @ (hidden[rows] * spread).to(hidden.dtype)).to(ctx.own_dtype)
                to_weight = part if to_weight is None else to_weight.add_(part)
        if to_normaliser.any():
            to_hidden += (weight[target] * to_normaliser[:, None]).to(hidden.dtype)
            if to_weight is not None:
                to_weight.index_add_(0, target, (hidden * to_normaliser[:, None]).to(ctx.own_dtype))
        return to_hidden, to_weight, None, None, None


def _keep_slopes(logits: Tensor, target: Tensor, slopes: Tensor) -> Tensor:
    """Write softmax(logits) - onehot(target), (C, V), into ``slopes``; returns logsumexp, (C,).

    The softmax is largest where the logit is, and there it is 1 / sum(exp(logit - largest)).
    """
    normaliser, rows = [], _rows(logits)
    for some, wanted, kept in zip(logits.split(rows), target.split(rows), slopes.split(rows), strict=True):
        probabilities = _wide(some).softmax(1)
        normaliser.append(_wide(some.amax(1)) - probabilities.amax(1).log())
        # in the wide dtype: a probability near 1 has no digits left for its distance from 1 in bfloat16
        probabilities[torch.arange(len(wanted), device=wanted.device), wanted] -= 1
        kept.copy_(probabilities)
    return torch.cat(normaliser)


def _rows(logits: Tensor) -> int:
    """Rows at a time: on a CPU so few that what is in between stays in the cache."""
    return 16 if logits.device.type == "cpu" else max(1, len(logits))


def _slopes(hidden: Tensor, weight: Tensor, target: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their slopes, (C, V) each, computed from the hidden states."""
    for start in range(0, len(hidden), chunk):
        rows = slice(start, start + chunk)
        logits = hidden[rows] @ weight.T
        slopes = torch.empty_like(logits)
        _keep_slopes(logits, target[rows], slopes)
        yield rows, slopes


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
    keep = len(states) * len(weight) * states.element_size() <= KEPT
    logprob, normaliser = ChunkedLogProbs.apply(states, weight, target, SMALL_CHUNK if keep else CHUNK, keep)
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
