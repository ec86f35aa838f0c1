"""The `corrupt` task: good responses and, from a state on the way, corrupted continuations of the same prefix.

  rejected   the row's rejected response, from the first token where it leaves the chosen one (preference pairs only)
  foreign    the rest replaced by the beginning of another row's response, then the same ending
  shuffled   the rest's tokens in another order, then the same ending
  token      one token replaced by one of another response, the rest unchanged

``start`` is the first response token that differs, k. A pair is compared on the states after it, s_{k+1} … s_{T-1}, so
there must be at least one. Rows that allow no such corruption are counted. Drawn from (seed, row number, kind) alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainers.analysis import responses
from trainers.analysis.responses import Response
from trainers.analysis.tasks import Corrupt
from trainers.errors import TrainerError
from trainers.output import Run, write_jsonl

PAIRS = "pairs.jsonl"
KINDS = ("rejected", "foreign", "shuffled", "token")


@dataclass
class Made:
    """What the task gathers: responses, which of them form pairs, and what could not be made."""

    listed: list[Response] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def run(spec: Any) -> None:
    """Run a `Corrupt` task: ``continuations.jsonl`` and ``pairs.jsonl`` (row numbers of the former)."""
    task: Corrupt = spec.task
    clock = Run(spec)
    good, rejected = _read(task.data, task.kinds)
    made = make(good, rejected, task.kinds, task.seed)
    if not made.pairs:
        raise TrainerError(f"no response of {task.data} is long enough to be corrupted after its first token.")
    write_jsonl(
        clock.directory / responses.CONTINUATIONS,
        ({"id": each.row, "first": each.first, "tokens": each.tokens} for each in made.listed),
    )
    write_jsonl(clock.directory / PAIRS, made.pairs)
    counts = Counter(pair["kind"] for pair in made.pairs)
    clock.finish([responses.CONTINUATIONS, PAIRS], {"pairs": dict(counts), "skipped": dict(made.skipped)})


def _read(data: Path, kinds: list[Any]) -> tuple[list[Response], list[Response] | None]:
    """(good responses, their rejected counterparts or None). Raises TrainerError where ``kinds`` needs the latter."""
    listed = responses.load(data)
    if responses.are_pairs(data):
        return listed[0::2], listed[1::2]
    if "rejected" in kinds:
        raise TrainerError(
            f"the data in {data} have no rejected responses.", 'leave "rejected" out of the kinds, or give pairs'
        )
    return listed, None


def make(good: list[Response], rejected: list[Response] | None, kinds: list[Any], seed: int) -> Made:
    """Every good response once, followed by its corruptions."""
    made = Made()
    for number, response in enumerate(good):
        made.listed.append(response)
        place = len(made.listed) - 1
        for kind in kinds:
            random = np.random.default_rng([seed, number, KINDS.index(kind)])
            other = rejected[number] if kind == "rejected" and rejected else good[(number + 1) % len(good)]
            found = _corrupted(kind, response, other, good, random)
            if found is None:
                made.skipped[kind] += 1
                continue
            tokens, start = found
            made.listed.append(Response(response.row, tokens, response.first))
            made.pairs.append(
                {"id": response.row, "kind": kind, "good": place, "bad": len(made.listed) - 1, "start": start}
            )
    return made


def _corrupted(
    kind: str, response: Response, other: Response, good: list[Response], random: np.random.Generator
) -> tuple[list[int], int] | None:
    """(token ids, k) or None where this response cannot be corrupted so."""
    own = response.tokens[response.first :]
    if kind == "rejected":
        theirs = other.tokens[other.first :]
        return _checked(response, own, theirs)
    if len(own) < 2:
        return None
    start = int(random.integers(0, len(own) - 1))
    rest = own[start:-1]
    if kind == "foreign":
        donor = good[int(random.integers(len(good)))]
        replaced = donor.tokens[donor.first :][: len(rest)]
        return _checked(response, own, [*own[:start], *replaced, own[-1]])
    if kind == "shuffled":
        start = start if len(set(rest)) > 1 else 0
        return _checked(response, own, [*own[:start], *random.permutation(own[start:-1]).tolist(), own[-1]])
    donor = good[int(random.integers(len(good)))]
    token = donor.tokens[donor.first + int(random.integers(max(1, donor.length - 1)))]  # never the ending
    return _checked(response, own, [*own[:start], token, *own[start + 1 :]])


def _checked(response: Response, own: list[int], theirs: list[int]) -> tuple[list[int], int] | None:
    """The corrupted sequence and k, if both sides still have a state to compare after the first difference."""
    start = next((t for t, (a, b) in enumerate(zip(own, theirs, strict=False)) if a != b), None)
    if start is None or start + 1 >= min(len(own), len(theirs)):
        return None
    return [*response.tokens[: response.first], *theirs], start
