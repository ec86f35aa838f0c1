"""Attention over packed sequences: linear layers see the tokens of all sequences in one row without padding, attention
sees each sequence alone.

Registered with `transformers` under `NAME`; the model's forward passes ``layout`` down to it. A sequence can only
attend to itself,
because each is a line of its own in the batch that the kernel works on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.attention import causal_attention

NAME = "bridgebench_packed"
ALONE = 128  # mean length from which padding costs more than calls do
# settings of other models' attention that this one does not apply
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True)
class Layout:
    """Where packed tokens lie: N tokens of B sequences, the longest of T tokens."""

    gather: Tensor  # (B, T) index into N of each sequence's tokens; 0 behind its end
    scatter: Tensor  # (N,) index into B*T; 0 for tokens that only fill the row up
    lengths: tuple[int, ...]  # B lengths

    @property
    def alone(self) -> bool:
        """Whether sequences are long enough to take an attention call each, rather than one padded batch."""
        return sum(self.lengths) >= ALONE * len(self.lengths)

    @classmethod
    def of(cls, lengths: list[int], total: int) -> Layout:
        """The layout of sequences laid end to end in a row of ``total`` >= sum(lengths) tokens."""
        width = max(lengths)
        gather = torch.zeros(len(lengths), width, dtype=torch.int64)
        scatter = torch.zeros(total, dtype=torch.int64)
        start = 0
        for line, length in enumerate(lengths):
            inside = torch.arange(length)
            gather[line, :length] = start + inside
            scatter[start : start + length] = line * width + inside
            start += length
        return cls(gather, scatter, tuple(lengths))

    def to(self, device: torch.device) -> Layout:
        """Both tensors on ``device``."""
        return Layout(self.gather.to(device), self.scatter.to(device), self.lengths)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: Layout | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query (1, H, N, D), key and value (1, G, N, D) with H a multiple of G → (1, N, H, D). Causal within each
    sequence.
    """
    for name in UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise ValueError(f"packed attention does not apply this model's {name}")
    states = (query, key, value)
    if sliding_window is not None and _longest(query, layout) > sliding_window:
        raise ValueError(f"a sequence is longer than this model's attention window of {sliding_window}")
    if layout is None:  # an ordinary batch: nothing is padded
        return causal_attention(query, key, value, scaling, dropout).transpose(1, 2), None
    if layout.alone:
        return _one_by_one(states, layout, scaling, dropout), None
    query, key, value = (_lines(each, layout) for each in states)
    out = causal_attention(query, key, value, scaling, dropout).transpose(1, 2)  # (B, T, H, D)
    return out.flatten(0, 1)[layout.scatter][None], None


def _longest(query: Tensor, layout: Layout | None) -> int:
    return query.shape[2] if layout is None else max(layout.lengths)


def _one_by_one(states: tuple[Tensor, ...], layout: Layout, scaling: float | None, dropout: float) -> Tensor:
    """Long sequences take a call each, so that none is padded to the longest; filling attends to itself."""
    filling = states[0].shape[2] - sum(layout.lengths)
    spans = [*layout.lengths, *([filling] if filling else [])]
    cut = zip(*(each.split(spans, dim=2) for each in states), strict=True)
    parts = [causal_attention(query, key, value, scaling, dropout) for query, key, value in cut]
    return torch.cat(parts, dim=2).transpose(1, 2)


def _lines(states: Tensor, layout: Layout) -> Tensor:
    """(1, H, N, D) → (B, H, T, D)."""
    return states[0].transpose(0, 1)[layout.gather].transpose(1, 2)


def register() -> str:
    """Make the attention known to `transformers`; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    return NAME


def _no_mask(*_: Any, **__: Any) -> None:
    """Causality is the kernel's business, and there is no padding inside a sequence."""
