"""Reference log-probs: one pass over the data, kept on disk, shared by every run with this reference and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers import events
from trainers.checkpoint import choose_device, load_model
from trainers.data import TokenData
from trainers.errors import INTEGRITY, TrainerError
from trainers.logprobs import check_head, response_logprobs
from trainers.output import MANIFEST, Run, sha256_file
from trainers.spec import Reference

FILE = "logprobs.npy"


def reference(spec: Reference) -> None:
    """Run a reference spec."""
    run = Run(spec)
    device = choose_device(spec.device)
    model = load_model(spec.model, torch.float32, device, packed=True)
    check_head(model)
    data = TokenData(spec.data)
    values = compute(model, data, spec.autocast, spec.max_tokens_per_microbatch, device)
    run.directory.mkdir(parents=True, exist_ok=True)
    np.save(run.directory / FILE, values)
    known = values[~np.isnan(values)]
    summary = {
        "response_tokens": len(known),
        "mean_logprob": float(known.mean()),
        "input_ids_sha256": sha256_file(spec.data / "input_ids.npy"),
    }
    run.finish([FILE], summary)


@torch.inference_mode()
def compute(model: Any, data: TokenData, autocast: str | None, budget: int, device: str) -> NDArray[np.float32]:
    """(N,) float32, aligned with the data's tokens; NaN where a token is not trained on."""
    values = np.full(len(data.input_ids), np.nan, dtype=np.float32)
    done = 0
    for batch in data.microbatches(list(range(len(data))), budget):
        logprobs = response_logprobs(model, batch.to(torch.device(device)), autocast)
        values[batch.token.numpy()] = logprobs.float().cpu().numpy()
        done += len(batch.rows)
        events.progress(done, data.sequences, "sequence")
    return values


def load(directory: Path, data: TokenData, data_directory: Path) -> NDArray[np.float32]:
    """Stored log-probs, memory-mapped. Raises TrainerError if they were not computed on these tokens."""
    try:
        values: NDArray[np.float32] = np.load(directory / FILE, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise TrainerError(f"the reference in {directory} cannot be read ({error}).", exit_code=INTEGRITY) from None
    manifest = directory / MANIFEST
    stored = json.loads(manifest.read_text("utf-8"))["summary"]["input_ids_sha256"] if manifest.exists() else None
    if len(values) != len(data.input_ids) or stored != sha256_file(data_directory / "input_ids.npy"):
        raise TrainerError(f"the reference in {directory} was computed on other data than {data_directory}.")
    return values
