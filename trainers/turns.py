"""Assistant turns inside a microbatch. Each turn is one episode: it has a first state, a last token, and either an
end-of-turn token, behind which nothing is worth anything, or (truncated) a state behind its last token whose value
still counts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Turns:
    """T turns over M response tokens that lie one turn after another; K of the turns are truncated."""

    of_token: Tensor  # (M,) which turn a response token belongs to
    first: Tensor  # (T,) index into M of a turn's first token
    last: Tensor  # (T,) index into M of its last token
    tail: Tensor  # (K,) index into M of the last token of each truncated turn
    tail_position: Tensor  # (K,) place of that token in the packed row: the state behind it
    tail_token: Tensor  # (K,) its index in the tokenised data's flat arrays

    @classmethod
    def of(cls, token: NDArray[np.int64], ended: NDArray[np.bool_], place: NDArray[np.int64]) -> Turns:
        """From each response token's flat index, whether it ``ended`` its turn, and its ``place`` in the packed row.

        A turn is a run of neighbouring response tokens; an end-of-turn token ends it even if another follows at once.
        """
        begins = np.ones(len(token), dtype=bool)
        begins[1:] = (np.diff(token) != 1) | ended[:-1]
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(token)) - 1
        tail = last[~ended[last]]
        arrays = (np.cumsum(begins) - 1, first, last, tail, place[tail], token[tail])
        return cls(*(torch.from_numpy(array.astype(np.int64)) for array in arrays))

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device) -> Turns:
        """All tensors on ``device``."""
        return Turns(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})
