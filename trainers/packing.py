"""Attention over packed sequences: linear layers see the tokens of all sequences in one row without padding, attention
sees each sequence alone.

Registered with `transformers` under `NAME`; the model's forward passes ``layout`` down to it. A sequence can only
attend to itself, because each is a line of its own in the batches that the kernel works on, one batch for sequences of
similar length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.attention import causal_attention

NAME = "bridgebench_packed"
SIMILAR = 0.66  # shortest over longest sequence of a block; see benchmarks/attention_blocks.py
# settings of other models' attention that this one does not apply
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True)
class Layout:
    """Where packed tokens lie: N tokens of some sequences, those of similar length together in one block each.

    Attention costs a block's lines times its width squared. One block as wide as the longest sequence would cost
    several times what the sequences need (benchmarks/results/attention_blocks.json).
    """

    blocks: tuple[Tensor, ...]  # each (B, T): index into N of the tokens of B sequences, 0 behind a sequence's end
    scatter: Tensor  # (N,) index into all blocks' cells, laid end to end; 0 for tokens that only fill the row up

    @classmethod
    def of(cls, lengths: list[int], total: int) -> Layout:
        """The layout of sequences laid end to end in a row of ``total`` >= sum(lengths) tokens."""
        starts = [0, *itertools.accumulate(lengths)]
        scatter = torch.zeros(total, dtype=torch.int64)
        blocks, cells = [], 0
        for members in similar(lengths):
            width = lengths[members[0]]
            block = torch.zeros(len(members), width, dtype=torch.int64)
            for line, sequence in enumerate(members):
                inside = torch.arange(lengths[sequence])
                block[line, : len(inside)] = starts[sequence] + inside
                scatter[starts[sequence] : starts[sequence + 1]] = cells + line * width + inside
            blocks.append(block)
            cells += block.numel()
        return cls(tuple(blocks), scatter)

    def to(self, device: torch.device) -> Layout:
        """All tensors on ``device``."""
        return Layout(tuple(block.to(device) for block in self.blocks), self.scatter.to(device))


def similar(lengths: list[int]) -> Iterator[list[int]]:
    """Numbers of the sequences in groups, longest first; none is shorter than `SIMILAR` times its group's longest."""
    order = sorted(range(len(lengths)), key=lambda sequence: -lengths[sequence])
    while order:
        count = sum(lengths[sequence] >= SIMILAR * lengths[order[0]] for sequence in order)
        yield order[:count]
        order = order[count:]


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
    longest = query.shape[2] if layout is None else layout.blocks[0].shape[1]
    if sliding_window is not None and longest > sliding_window:
        raise ValueError(f"a sequence is longer than this model's attention window of {sliding_window}")
    if layout is None:  # an ordinary batch, and nothing is padded
        return causal_attention(query, key, value, scaling, dropout).transpose(1, 2), None
    cells = []
    for block in layout.blocks:
        lines = [_lines(each, block) for each in (query, key, value)]
        out = causal_attention(lines[0], lines[1], lines[2], scaling, dropout)
        cells.append(out.transpose(1, 2).flatten(0, 1))  # (B * T, H, D)
    return torch.cat(cells)[layout.scatter][None], None


def _lines(states: Tensor, block: Tensor) -> Tensor:
    """(1, H, N, D) → (B, H, T, D)."""
    return states[0].transpose(0, 1)[block].transpose(1, 2)


def register() -> str:
    """Make the attention known to `transformers`; returns its name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    return NAME


def _no_mask(*_: Any, **__: Any) -> None:
    """Causality is the kernel's business, and there is no padding inside a sequence."""
