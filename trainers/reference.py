"""Reference scores: one pass over the data, kept on disk, shared by every run with this reference and data.

    frozen model (no dropout, no gradient) → per response token its log-prob, per state logsumexp of the logits

Both are always stored, although only the soft_value form reads logsumexp: the head has it anyway, it costs 4 bytes a
token, and so one cache of the base serves every f-SFT row of a matrix. If the rows decided what is stored, adding a
soft_value row would change the key of the cache and with it that of every row which reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers import events
from trainers.attention import without_autocast
from trainers.checkpoint import choose_device, load_model
from trainers.data import TokenData
from trainers.errors import INTEGRITY, TrainerError
from trainers.layers import compile_layers
from trainers.logprobs import autocast_context, check_head, response_scores
from trainers.memory import keep_freed_memory
from trainers.output import MANIFEST, Run
from trainers.spec import Reference
from trainers.vocabulary import require_vocabulary, vocabulary

FILES = ("logprobs.npy", "logsumexp.npy")


@dataclass(frozen=True)
class ReferenceScores:
    """(N,) float32 arrays over the data's tokens, natural logarithms; NaN where there is nothing to compare.

    ``logprob`` stands at the response token; ``logsumexp`` at the token behind which the logits are, so at t-1 for
    the state that predicts token t.
    """

    logprob: NDArray[np.float32]
    logsumexp: NDArray[np.float32]


def reference(spec: Reference) -> None:
    """Run a reference spec."""
    keep_freed_memory()
    run = Run(spec)
    device = choose_device(spec.device)
    data = TokenData(spec.data)
    require_vocabulary(spec.model, spec.data)
    model = load_model(spec.model, torch.float32, device, packed=True)
    check_head(model)
    if spec.compile:
        compile_layers(model, device)
    scores = compute(model, data, spec.autocast, spec.max_tokens_per_microbatch, device)
    run.directory.mkdir(parents=True, exist_ok=True)
    for name, values in zip(FILES, (scores.logprob, scores.logsumexp), strict=True):
        np.save(run.directory / name, values)
    known = scores.logprob[~np.isnan(scores.logprob)]
    summary = {
        "response_tokens": len(known),
        "mean_logprob": float(known.mean(dtype=np.float64)),
        "data_sha256": data.digest(),
        "vocabulary": vocabulary(spec.model),
    }
    run.finish(FILES, summary)


@torch.inference_mode()
def compute(model: Any, data: TokenData, autocast: str | None, budget: int, device: str) -> ReferenceScores:
    """The model's scores on all of the data, in packed microbatches of ``budget`` tokens."""
    logprob, logsumexp = (np.full(len(data.input_ids), np.nan, dtype=np.float32) for _ in range(2))
    done = 0
    # one context around all microbatches, so that the weights are cast once; the forward pass enters its own
    with autocast_context(device, autocast), without_autocast(device):
        for batch in data.microbatches(list(range(len(data))), budget):
            scores = response_scores(model, batch.to(torch.device(device)), autocast, tails=True)
            token = batch.token.numpy()
            logprob[token] = scores.logprob.float().cpu().numpy()
            logsumexp[token - 1] = scores.logsumexp.float().cpu().numpy()
            logsumexp[batch.turns.tail_token.numpy()] = scores.tail.float().cpu().numpy()
            done += len(batch.rows)
            events.progress(done, data.sequences, "sequence")
    return ReferenceScores(logprob, logsumexp)


def load(directory: Path, data: TokenData, model: Path) -> ReferenceScores:
    """Stored scores, memory-mapped. Raises TrainerError if they were computed on other tokens, or by a model whose
    vocabulary is not that of ``model``.
    """
    try:
        scores = ReferenceScores(*(np.load(directory / name, mmap_mode="r", allow_pickle=False) for name in FILES))
        summary = json.loads((directory / MANIFEST).read_text("utf-8"))["summary"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainerError(f"the reference in {directory} cannot be read ({error}).", exit_code=INTEGRITY) from None
    if any(len(values) != len(data.input_ids) for values in (scores.logprob, scores.logsumexp)) or (
        summary.get("data_sha256") != data.digest()
    ):
        raise TrainerError(
            f"the reference in {directory} was computed on other data than {data.directory}.",
            "run its reference spec on this data",
        )
    if summary.get("vocabulary") != vocabulary(model):
        raise TrainerError(
            f"the reference in {directory} has another vocabulary than the model {model}: "
            f"{summary.get('vocabulary')} against {vocabulary(model)}.",
            "policy and reference must share one tokenizer and one size of the output head",
        )
    return scores
