"""Tokenised sequences on disk → packed microbatches, in an order that seed and epoch fix.

    epoch order (a uniform shuffle) → global batch → its examples, longest first → packed rows of at most a token budget

The shuffle is blind to length; the length-aware part happens inside a global batch. Drawing global batches of similar
length instead would save next to nothing: linear layers have no padding either way, and attention in blocks of similar
length (`trainers.packing`) computes 1.2 times the pairs that the sequences need, where one block per microbatch takes
2.4 to 6.4 times and length-grouped batches 1.0 to 1.2. And it would cost more: the tokens of a global batch then vary
by 84 % of their mean instead of 22 %, and with them the weight of each token in the gradient (batches of 16; counts in
benchmarks/results/attention_blocks.json).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from trainers.arrays import Texts, digest_parts
from trainers.errors import INTEGRITY, TrainerError
from trainers.logprobs import Microbatch
from trainers.packing import Layout
from trainers.turns import Turns

# (N,) token ids, (N,) 1 where a token is trained on, (N,) 1 at a response's end-of-turn token, (S+1,) where sequences
# begin; and the ids of the rows they came from
ARRAYS = ("input_ids.npy", "loss_mask.npy", "turn_ends.npy", "offsets.npy")
ROW_IDS = "row_ids"
FILL = 64  # rows are filled up to a multiple of it: kernels are prepared per shape, so let there be few shapes


class TokenData:
    """Tokenised sequences, memory-mapped. ``group`` is 1 for demonstrations and 2 for pairs (chosen, rejected)."""

    def __init__(self, directory: Path, group: int = 1) -> None:
        self.directory, self.group = directory, group
        try:
            self.input_ids, self.loss_mask, self.turn_ends, self.offsets = (
                np.load(directory / name, mmap_mode="r", allow_pickle=False) for name in ARRAYS
            )
            self.rows = Texts(directory, ROW_IDS)
        except (OSError, ValueError) as error:
            raise TrainerError(
                f"the tokenised data in {directory} cannot be read ({error}).", exit_code=INTEGRITY
            ) from None
        if not len(self.rows) or self.sequences % len(self.rows):
            raise TrainerError(f"the tokenised data in {directory} is torn: its sequences do not fit its rows.")
        if group == 2 and self.sequences_per_row != 2:
            raise TrainerError(f"the tokenised data in {directory} are not preference pairs.")

    @property
    def sequences_per_row(self) -> int:
        """1 of demonstrations, 2 of preference pairs, whatever ``group`` they are read in."""
        return self.sequences // len(self.rows)

    def row_id(self, sequence: int) -> str:
        """The id of the row that a sequence came from."""
        return self.rows[sequence // self.sequences_per_row]

    def digest(self) -> str:
        """SHA-256 over tokens, mask, turns and sequences: what a reference's scores belong to."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256()
        for part in digest_parts([self.input_ids, self.loss_mask, self.turn_ends, self.offsets]):
            found.update(part)
        return found.hexdigest()

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
        position, target, owner, token, ended = [], [], [], [], []
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
            ended.append(self.turn_ends[start + trained] == 1)
            begin += length
        joined = [np.concatenate(part).astype(np.int64) for part in (position, target, owner, token)]
        # a response token stands one place behind the state that predicts it
        turns = Turns.of(joined[0] + 1, np.concatenate(ended), joined[3])
        flat = [torch.from_numpy(part) for part in joined]
        packed = torch.from_numpy(ids), torch.from_numpy(places), Layout.of(lengths, total)
        return Microbatch(*packed, flat[0], flat[1], flat[2], flat[3], rows, turns)


@lru_cache(maxsize=2)
def epoch_order(examples: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on seed and epoch alone, so a resumed run reads what the killed one would have."""
    return np.random.default_rng([seed, epoch]).permutation(examples).tolist()
