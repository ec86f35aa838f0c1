"""Attention over packed sequences: linear layers see the tokens of all sequences in one row without padding, attention
sees each sequence alone.

Registered with `transformers` under `NAME`; the model's forward passes ``layout`` down to it. A sequence can only
attend to itself, because each is a line of its own in the batches that the kernel works on, one batch for sequences of
similar length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.attention import causal_attention, lowered

NAME = "bridgebench_packed"
SIMILAR = 0.66  # shortest over longest sequence of a block; see benchmarks/attention_blocks.py
# settings of other models' attention that this one does not apply
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True)
class Layout:
    """Where packed tokens lie: N tokens of some sequences, those of similar length together in one block each.

    Attention costs a block's lines times its width squared. One block as wide as the longest sequence would cost
    several times what the sequences need (benchmarks/results/attention_blocks.json). Two sequences may begin with the
    same tokens of the row: a pair's prompt is there once, and each line of the pair reads it.
    """

    shapes: tuple[tuple[int, int], ...]  # of the blocks: lines and width (B, T)
    cells: Tensor  # (C,) index into N of the token in each of all blocks' cells, laid end to end; 0 behind a line's end
    scatter: Tensor  # (N,) index into C of each token's first cell; 0 for tokens that only fill the row up
    again: Tensor  # (S,) tokens that are in a second cell
    again_cells: Tensor  # (S,) index into C of that cell
    unread: Tensor  # cells from which no token takes its output: behind a line's end, and second cells
    fill: int  # tokens at the row's end that only fill it up

    @classmethod
    def of(cls, lengths: list[int], total: int) -> Layout:
        """The layout of sequences laid end to end in a row of ``total`` >= sum(lengths) tokens."""
        begins = np.cumsum([0, *lengths])
        return cls.sharing([np.arange(*each) for each in itertools.pairwise(begins)], total)

    @classmethod
    def sharing(cls, sequences: list[NDArray[np.int64]], total: int) -> Layout:
        """The layout of sequences, each given by its tokens' places in a row of ``total`` tokens, filled up at the end.
        A place may be in at most two sequences.
        """
        shapes, parts = [], []
        for members in similar([len(places) for places in sequences]):
            block = np.full((len(members), len(sequences[members[0]])), -1, dtype=np.int64)
            for line, sequence in enumerate(members):
                block[line, : len(sequences[sequence])] = sequences[sequence]
            shapes.append(block.shape)
            parts.append(block.ravel())
        cells = np.concatenate(parts)
        order = np.argsort(cells, kind="stable")
        order = order[cells[order] >= 0]  # cells with a token, by token
        first = np.diff(cells[order], prepend=-1) != 0
        scatter = np.zeros(total, dtype=np.int64)
        scatter[cells[order[first]]] = order[first]
        second = order[~first]
        unread = np.setdiff1d(np.arange(len(cells)), order[first])
        used = int(cells.max()) + 1
        arrays = [torch.from_numpy(each) for each in (np.maximum(cells, 0), scatter, cells[second], second, unread)]
        return cls(tuple(shapes), arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], total - used)

    def to(self, device: torch.device) -> Layout:
        """All tensors on ``device``."""
        names = ("cells", "scatter", "again", "again_cells", "unread")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.shapes[0][1]


class ToCells(torch.autograd.Function):
    """Tokens (N, …) → cells (C, …). Its backward is a gather too: a token has one cell, or two."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layout: Layout) -> Tensor:
        """What each cell's token has."""
        ctx.layout = layout
        return tokens.index_select(0, layout.cells)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The sum over a token's cells."""
        (cells,), layout = gradients, ctx.layout
        tokens = cells.index_select(0, layout.scatter)
        if len(layout.again):
            tokens[layout.again] += cells[layout.again_cells]
        if layout.fill:
            tokens[-layout.fill :] = 0
        return tokens, None


class FromCells(torch.autograd.Function):
    """Cells (C, …) → tokens (N, …), each token its first cell's."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, layout: Layout) -> Tensor:
        """What each token's cell has."""
        ctx.layout = layout
        return cells.index_select(0, layout.scatter)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """A cell gets its token's, an unread one nothing."""
        (tokens,), layout = gradients, ctx.layout
        cells = tokens.index_select(0, layout.cells)
        return cells.index_fill_(0, layout.unread, 0), None


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
    longest = query.shape[2] if layout is None else layout.longest
    if sliding_window is not None and longest > sliding_window:
        raise ValueError(f"a sequence is longer than this model's attention window of {sliding_window}")
    if layout is None:  # an ordinary batch, and nothing is padded
        return causal_attention(query, key, value, scaling, dropout).transpose(1, 2), None
    # (1, H, N, D) → (C, H, D) → per block (B, T, H, D)
    blocks = [_blocks(ToCells.apply(each[0].transpose(0, 1), layout), layout) for each in lowered(query, key, value)]
    mixed = []
    for lines in zip(*blocks, strict=True):
        states = [each.transpose(1, 2) for each in lines]
        out = causal_attention(states[0], states[1], states[2], scaling, dropout)
        mixed.append(out.transpose(1, 2).flatten(0, 1))
    return FromCells.apply(mixed[0] if len(mixed) == 1 else torch.cat(mixed), layout)[None], None


def _blocks(cells: Tensor, layout: Layout) -> list[Tensor]:
    """(C, H, D) → per block (B, T, H, D)."""
    parts = cells.split([lines * width for lines, width in layout.shapes])
    return [part.unflatten(0, shape) for part, shape in zip(parts, layout.shapes, strict=True)]


def register(*, compiled: bool = False) -> str:
    """Make the attention known to `transformers`; returns its name.

    In ``compiled`` layers the graph stops before it and goes on behind it: it depends on the lengths of the sequences,
    and each microbatch would be compiled anew.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, torch.compiler.disable(packed_attention) if compiled else packed_attention)
    AttentionMaskInterface.register(NAME, _no_mask)
    return NAME


def _no_mask(*_: Any, **__: Any) -> None:
    """Causality is the kernel's business, and there is no padding inside a sequence."""
