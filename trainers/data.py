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
from numpy.typing import NDArray

from trainers.arrays import Texts, digest_parts
from trainers.errors import INTEGRITY, TrainerError
from trainers.logprobs import Microbatch
from trainers.packing import Layout
from trainers.turns import Turns

# (N,) token ids, (N,) 1 where a token is trained on, (N,) 1 at a response's end-of-turn token, (S+1,) where sequences
# begin; and the ids of the rows they came from
ARRAYS = ("input_ids.npy", "loss_mask.npy", "turn_ends.npy", "offsets.npy")
ROW_IDS = "row_ids"
FILL = 16  # rows are filled up to a multiple of it: kernels are prepared per shape, so let there be few shapes


class TokenData:
    """Tokenised sequences, memory-mapped. ``group`` is 1 for demonstrations and 2 for pairs (chosen, rejected); without
    it, what the data are.
    """

    def __init__(self, directory: Path, group: int | None = None) -> None:
        self.directory = directory
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
        self.group = group or self.sequences_per_row
        if self.group == 2 and self.sequences_per_row != 2:
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

    def shared(self, example: int) -> int:
        """Tokens with which both sequences of a pair begin: a state that both have is computed once."""
        if self.group == 1:
            return 0
        first, second = (self.input_ids[self.offsets[s] : self.offsets[s + 1]] for s in self.members(example))
        length = min(len(first), len(second))
        differing = np.flatnonzero(first[:length] != second[:length])
        return int(differing[0]) if len(differing) else length

    def microbatches(self, examples: list[int], budget: int) -> Iterator[Microbatch]:
        """Pack examples into microbatches of at most ``budget`` tokens (at least one example each).

        Longest first, so that a batch that does not fit fails at once; ties by position, so the split is repeatable.
        """
        sizes = {example: self.tokens([example]) - self.shared(example) for example in examples}
        chosen: list[int] = []
        for example in sorted(examples, key=lambda example: -sizes[example]):
            if chosen and sum(sizes[each] for each in chosen) + sizes[example] > budget:
                yield self._pack(chosen)
                chosen = []
            chosen.append(example)
        if chosen:
            yield self._pack(chosen)

    def _pack(self, examples: list[int]) -> Microbatch:
        rows = [sequence for example in examples for sequence in self.members(example)]
        lines = list(self._lines(examples))
        used = 1 + max(int(line.max()) for line in lines)
        total = -(-used // FILL) * FILL
        ids, places = np.zeros((1, total), dtype=np.int64), np.zeros((1, total), dtype=np.int64)
        position, target, owner, token = [], [], [], []
        for number, (sequence, line) in enumerate(zip(rows, lines, strict=True)):
            start, end = int(self.offsets[sequence]), int(self.offsets[sequence + 1])
            ids[0, line] = tokens = self.input_ids[start:end]
            places[0, line] = np.arange(len(line))
            trained = np.flatnonzero(self.loss_mask[start:end])
            trained = trained[trained > 0]  # nothing predicts the first token
            position.append(line[trained - 1])
            target.append(tokens[trained])
            owner.append(np.full(len(trained), number))
            token.append(start + trained)
        joined = [np.concatenate(part).astype(np.int64) for part in (position, target, owner, token)]
        behind = np.concatenate([line[at - self.offsets[s]] for s, line, at in zip(rows, lines, token, strict=True)])
        turns = Turns.of(joined[3], self.turn_ends[joined[3]] == 1, behind)
        flat = [torch.from_numpy(part) for part in joined]
        packed = torch.from_numpy(ids), torch.from_numpy(places), Layout.sharing(lines, total)
        return Microbatch(*packed, flat[0], flat[1], flat[2], flat[3], rows, turns)

    def _lines(self, examples: list[int]) -> Iterator[NDArray[np.int64]]:
        """Where the tokens of each sequence lie in the row; a pair's second sequence begins with the first one's."""
        begin = 0
        for example in examples:
            shared, opening = self.shared(example), np.zeros(0, dtype=np.int64)
            for sequence in self.members(example):
                own = np.arange(begin, begin + self.length(sequence) - len(opening))
                line = np.concatenate([opening, own])
                yield line
                begin, opening = begin + len(own), line[:shared]


@lru_cache(maxsize=2)
def epoch_order(examples: int, seed: int, epoch: int) -> list[int]:
    """A permutation that depends on seed and epoch alone, so a resumed run reads what the killed one would have."""
    return np.random.default_rng([seed, epoch]).permutation(examples).tolist()
