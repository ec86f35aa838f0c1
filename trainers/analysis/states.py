"""The `states` task: one pass of one checkpoint over responses, kept as arrays for rewards and values to compute with.

Files: ``states.npz`` with, for R responses of T_i tokens,
  logprob    (sum T_i,)      log pi(y_t | s_t)
  logsumexp  (sum T_i + R,)  logsumexp of the logits at s_0 … s_T of each response
  length     (R,)            T_i
  ended      (R,)            whether the last token ends the turn (a truncated response does not)
``responses.jsonl`` and ``pieces.json`` (token id → text) hold the tokens themselves, for views beside the text.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainers.analysis import heads, responses
from trainers.analysis.chunks import Arrays, Chunks
from trainers.analysis.responses import Response
from trainers.analysis.tasks import States
from trainers.analysis.vocabularies import require_same_tokenizer
from trainers.checkpoint import choose_device, load_model, load_tokenizer, stop_token_ids
from trainers.errors import INTEGRITY, TrainerError
from trainers.logprobs import check_head
from trainers.output import Run, spec_digest, write_bytes, write_json, write_jsonl

FILE = "states.npz"
ROWS = "responses.jsonl"
PIECES = "pieces.json"


def run(spec: Any) -> None:
    """Run a `States` task."""
    task: States = spec.task
    clock = Run(spec)
    if task.rendered_by is not None:
        require_same_tokenizer(task.model, task.rendered_by)
    listed = responses.load(task.data)
    device = choose_device(spec.device)
    model = load_model(task.model, torch.float32, device, packed=True)
    check_head(model)
    arrays = compute(model, listed, clock.directory, spec, device)
    stops = set(stop_token_ids(task.model))
    length = np.array([response.length for response in listed])
    ended = np.array([response.tokens[-1] in stops for response in listed])
    _save(clock.directory, {**arrays, "length": length, "ended": ended})
    _write_tokens(clock.directory, listed, task.model)
    logprob = arrays["logprob"]
    summary = {
        "responses": len(listed),
        "response_tokens": len(logprob),
        "mean_logprob": float(logprob.mean()),
        "data_sha256": digest(listed),
    }
    clock.finish([FILE, ROWS, PIECES], summary)
    Chunks(clock.directory, "").remove()


def _write_tokens(directory: Path, listed: list[Response], checkpoint: Path) -> None:
    rows = ({"id": each.row, "first": each.first, "tokens": each.tokens} for each in listed)
    write_jsonl(directory / ROWS, rows)
    tokenizer = load_tokenizer(checkpoint)
    used = sorted({token for each in listed for token in each.tokens[each.first :]})
    write_json(directory / PIECES, {str(token): tokenizer.decode([token]) for token in used})


def compute(model: Any, listed: list[Response], directory: Path, spec: Any, device: str) -> Arrays:
    """``logprob`` and ``logsumexp`` of all responses, in their order."""
    size = spec.chunk_size
    parts = [listed[start : start + size] for start in range(0, len(listed), size)]
    chunks = Chunks(directory, spec_digest(spec))
    done = chunks.all(
        len(parts), lambda number: _chunk(model, parts[number], spec.max_tokens_per_microbatch, device), "chunk"
    )
    return {name: np.concatenate([part[name] for part in done]) for name in ("logprob", "logsumexp")}


@torch.inference_mode()
def _chunk(model: Any, part: list[Response], budget: int, device: str) -> Arrays:
    logprob: list[np.ndarray] = [np.empty(0)] * len(part)
    logsumexp: list[np.ndarray] = [np.empty(0)] * len(part)
    for numbers in responses.microbatches(part, budget):
        batch = responses.pack([part[number] for number in numbers]).to(device)
        chosen, normaliser = heads.token_scores(model, heads.hidden_states(model, batch), batch.target)
        split = zip(numbers, chosen.cpu().split(batch.counts), normaliser.cpu().split(batch.counts), strict=True)
        for number, own, states in split:
            logprob[number], logsumexp[number] = own[:-1].numpy(), states.numpy()
    return {"logprob": np.concatenate(logprob), "logsumexp": np.concatenate(logsumexp)}


def digest(listed: list[Response]) -> str:
    """SHA-256 over ids and tokens: what two passes must share to be compared."""
    found = hashlib.sha256()
    for response in listed:
        found.update(json.dumps([response.row, response.first, response.tokens]).encode())
    return found.hexdigest()


def _save(directory: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(directory / FILE, buffer.getvalue())


class Pass:
    """A finished `states` task, cut up by response."""

    def __init__(self, directory: Path) -> None:
        try:
            with np.load(directory / FILE, allow_pickle=False) as stored:
                arrays = dict(stored)
            self.data_sha256: str = json.loads((directory / "manifest.json").read_text("utf-8"))["summary"][
                "data_sha256"
            ]
        except (OSError, ValueError, KeyError) as error:
            raise TrainerError(f"the states in {directory} cannot be read ({error}).", exit_code=INTEGRITY) from None
        length = arrays["length"]
        self.ended: list[bool] = arrays["ended"].tolist()
        self.logprob = np.split(arrays["logprob"].astype(np.float64), np.cumsum(length)[:-1])
        self.logsumexp = np.split(arrays["logsumexp"].astype(np.float64), np.cumsum(length + 1)[:-1])
        self.rows = responses.read_jsonl(directory / ROWS)


def load_both(policy: Path, reference: Path) -> tuple[Pass, Pass]:
    """Two passes of the same responses. Raises TrainerError if they are of different ones."""
    own, other = Pass(policy), Pass(reference)
    if own.data_sha256 != other.data_sha256:
        raise TrainerError(f"the states in {policy} and {reference} are of different data; they cannot be compared.")
    return own, other
