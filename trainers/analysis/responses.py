"""Responses to score: token ids, where the response begins, and where they come from; packed rows of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainers.data import FILL, TokenData
from trainers.errors import INTEGRITY, TrainerError
from trainers.packing import Layout

CONTINUATIONS = "continuations.jsonl"


@dataclass(frozen=True)
class Response:
    """One sequence whose tokens from ``first`` on are the response; states s_0 … s_T lie at first-1 … last token."""

    row: str
    tokens: list[int]
    first: int

    @property
    def length(self) -> int:
        """Response tokens, T."""
        return len(self.tokens) - self.first


@dataclass(frozen=True)
class Packed:
    """Sequences end to end in one row of N tokens; P places of interest in it."""

    input_ids: Tensor  # (1, N)
    position_ids: Tensor  # (1, N)
    layout: Layout
    place: Tensor  # (P,) index into N of the states s_0 … s_T of every response, one response after another
    target: Tensor  # (P,) the token that follows each state; 0 behind the last one, where none does
    counts: list[int]  # states per response, T + 1

    def to(self, device: str) -> Packed:
        """All tensors on ``device``."""
        moved = [each.to(device) for each in (self.input_ids, self.position_ids)]
        layout = self.layout.to(torch.device(device))
        return Packed(moved[0], moved[1], layout, self.place.to(device), self.target.to(device), self.counts)


def load(directory: Path) -> list[Response]:
    """The responses of tokenised data (of pairs: chosen and rejected in turn) or of a `corrupt` task's output.

    Raises TrainerError.
    """
    if (directory / CONTINUATIONS).exists():
        return [Response(row["id"], row["tokens"], row["first"]) for row in read_jsonl(directory / CONTINUATIONS)]
    data = TokenData(directory, group=1)
    return [_response(data, sequence, row) for sequence, row in enumerate(row_ids(data))]


def row_ids(data: TokenData) -> list[str]:
    """The row of every sequence; of a preference pair it stands twice."""
    return [data.row_id(sequence) for sequence in range(data.sequences)]


def are_pairs(directory: Path) -> bool:
    """Whether tokenised data are (chosen, rejected) in turn."""
    ids = row_ids(TokenData(directory, group=1))
    return len(ids) % 2 == 0 and ids[0::2] == ids[1::2]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file that this package wrote. Raises TrainerError."""
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise TrainerError(f"{path} cannot be read ({error}).", exit_code=INTEGRITY) from None


def _response(data: TokenData, sequence: int, row: str) -> Response:
    start, end = int(data.offsets[sequence]), int(data.offsets[sequence + 1])
    trained = np.flatnonzero(data.loss_mask[start:end])
    first = int(trained[0])
    if first < 1 or len(trained) != end - start - first:
        raise TrainerError(
            f'row "{row}" has several responses in one sequence, or no prompt; an analysis takes one response.',
            'tokenise with "loss_on": "last"',
        )
    return Response(row, [int(token) for token in data.input_ids[start:end]], first)


def microbatches(responses: list[Response], budget: int) -> Iterator[list[int]]:
    """Numbers of responses that fit ``budget`` tokens together (at least one), longest first."""
    chosen: list[int] = []
    tokens = 0
    for number in sorted(range(len(responses)), key=lambda number: -len(responses[number].tokens)):
        length = len(responses[number].tokens)
        if chosen and tokens + length > budget:
            yield chosen
            chosen, tokens = [], 0
        chosen.append(number)
        tokens += length
    if chosen:
        yield chosen


def pack(responses: list[Response]) -> Packed:
    """Lay the responses' sequences end to end."""
    lengths = [len(response.tokens) for response in responses]
    total = -(-sum(lengths) // FILL) * FILL
    ids, places = np.zeros((1, total), dtype=np.int64), np.zeros((1, total), dtype=np.int64)
    place, target = [], []
    begin = 0
    for response, length in zip(responses, lengths, strict=True):
        ids[0, begin : begin + length] = response.tokens
        places[0, begin : begin + length] = np.arange(length)
        place.append(begin + np.arange(response.first - 1, length))
        target.append(np.array([*response.tokens[response.first :], 0], dtype=np.int64))
        begin += length
    at, following = (torch.from_numpy(np.concatenate(part)) for part in (place, target))
    counts = [response.length + 1 for response in responses]
    return Packed(torch.from_numpy(ids), torch.from_numpy(places), Layout.of(lengths, total), at, following, counts)
