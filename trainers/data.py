"""Tokenised sequences on disk → packed microbatches, in an order that seed and epoch fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from trainers.errors import INTEGRITY, TrainerError
from trainers.logprobs import Microbatch
from trainers.packing import Layout

ARRAYS = ("input_ids.npy", "loss_mask.npy", "offsets.npy")
FILL = 64  # rows are filled up to a multiple of it: kernels are prepared per shape, so let there be few shapes


class TokenData:
    """Tokenised sequences, memory-mapped. ``group`` is 1 for demonstrations and 2 for pairs (chosen, rejected)."""

    def __init__(self, directory: Path, group: int = 1) -> None:
        try:
            self.input_ids, self.loss_mask, self.offsets = (
                np.load(directory / name, mmap_mode="r", allow_pickle=False) for name in ARRAYS
            )
            self.row_ids: list[str] = json.loads((directory / "row_ids.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TrainerError(
                f"the tokenised data in {directory} cannot be read ({error}).", exit_code=INTEGRITY
            ) from None
        self.group = group
        if len(self) == 0 or self.sequences % group:
            raise TrainerError(f"the tokenised data in {directory} holds no pairs." if group == 2 else "no sequences.")
        if group == 2 and self.row_ids[0::2] != self.row_ids[1::2]:
            raise TrainerError(f"the tokenised data in {directory} are not preference pairs.")

    def row_id(self, sequence: int) -> str:
        """The id of the row that a sequence came from."""
        return self.row_ids[sequence]

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    def __len__(self) -> int:
        """Number of examples: demonstrations, or pairs."""
        return self.sequences // self.group

    def members(self, example: int) -> list[int]:
        """The sequences of one example."""
        return list(range(example * self.group, (example + 1) * self.group))

    def length(self, sequence: int) -> int:
        """Tokens of a sequence."""
        return int(self.offsets[sequence + 1] - self.offsets[sequence])

    def response_tokens(self, examples: list[int]) -> int:
        """Trained-on tokens of these examples."""
        spans = ((self.offsets[s], self.offsets[s + 1]) for example in examples for s in self.members(example))
        return sum(int(self.loss_mask[start:end].sum()) for start, end in spans)

    def tokens(self, examples: list[int]) -> int:
        """All tokens of these examples, padding not counted."""
        return sum(self.length(s) for example in examples for s in self.members(example))

    def microbatches(self, examples: list[int], budget: int) -> Iterator[Microbatch]:
        """Pack examples into microbatches of at most ``budget`` tokens (at least one example each).

        Longest first, so that a batch that does not fit fails at once; ties by position, so the split is repeatable.
        """
        chosen: list[int] = []
        for example in sorted(examples, key=lambda example: -self.tokens([example])):
            if chosen and self.tokens([*chosen, example]) > budget:
                yield self._pack(chosen)
                chosen = []
            chosen.append(example)
        if chosen:
            yield self._pack(chosen)

    def _pack(self, examples: list[int]) -> Microbatch:
        rows = [sequence for example in examples for sequence in self.members(example)]
        lengths = [self.length(sequence) for sequence in rows]
        total = -(-sum(lengths) // FILL) * FILL
        ids, places = np.zeros((1, total), dtype=np.int64), np.zeros((1, total), dtype=np.int64)
        position, target, owner, token = [], [], [], []
        begin = 0
        for line, (sequence, length) in enumerate(zip(rows, lengths, strict=True)):
            start = int(self.offsets[sequence])
            ids[0, begin : begin + length] = self.input_ids[start : start + length]
            places[0, begin : begin + length] = np.arange(length)
            trained = np.flatnonzero(self.loss_mask[start : start + length])
            trained = trained[trained > 0]  # nothing predicts the first token
            position.append(begin + trained - 1)
            target.append(ids[0, begin + trained])
            owner.append(np.full(len(trained), line))
            token.append(start + trained)
            begin += length
        flat = [torch.from_numpy(np.concatenate(part).astype(np.int64)) for part in (position, target, owner, token)]
        packed = torch.from_numpy(ids), torch.from_numpy(places), Layout.of(lengths, total)
        return Microbatch(*packed, flat[0], flat[1], flat[2], flat[3], rows)


def epoch_order(examples: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on seed and epoch alone, so a resumed run reads what the killed one would have."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(examples)]
