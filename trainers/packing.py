"""Attention over packed sequences: linear layers see the tokens of all sequences in one row without padding, attention
sees each sequence alone.

Registered with `transformers` under `NAME`; the model's forward passes ``layout`` down to it. A sequence can only
attend to itself,
because each is a line of its own in the batch that the kernel works on.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

NAME = "bridgebench_packed"
# settings of other models' attention that this one does not apply
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True)
class Layout:
    """Where packed tokens lie: N tokens of B sequences, the longest of T tokens."""

    gather: Tensor  # (B, T) index into N of each sequence's tokens; 0 behind its end
    scatter: Tensor  # (N,) index into B*T; 0 for tokens that only fill the row up

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
        return cls(gather, scatter)

    def to(self, device: torch.device) -> Layout:
        """Both tensors on ``device``."""
        return Layout(self.gather.to(device), self.scatter.to(device))


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
    groups = query.shape[1] // key.shape[1]
    states = (query, key, value)
    # without a layout it is an ordinary batch, and nothing is padded
    lines = states if layout is None else tuple(_lines(each, layout) for each in states)
    if sliding_window is not None and lines[0].shape[2] > sliding_window:
        raise ValueError(f"a sequence is longer than this model's attention window of {sliding_window}")
    key, value = (each.repeat_interleave(groups, dim=1) if groups > 1 else each for each in lines[1:])
    with _kernel(query.device.type):
        out = scaled_dot_product_attention(lines[0], key, value, is_causal=True, scale=scaling, dropout_p=dropout)
    out = out.transpose(1, 2)  # (B, T, H, D)
    return (out if layout is None else out.flatten(0, 1)[layout.scatter][None]), None


def _lines(states: Tensor, layout: Layout) -> Tensor:
    """(1, H, N, D) → (B, H, T, D)."""
    return states[0].transpose(0, 1)[layout.gather].transpose(1, 2)


def _kernel(device: str) -> contextlib.AbstractContextManager[Any]:
    """On a CPU plain matrix products: measured twice as fast, forward and backward, as the fused kernel at 80
    tokens.
    """
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else contextlib.nullcontext()


def register() -> str:
    """Make the attention known to `transformers`; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    return NAME


def _no_mask(*_: Any, **__: Any) -> None:
    """Causality is the kernel's business, and there is no padding inside a sequence."""
