"""Checkpoints: reading them safely and writing them whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from trainers import lean, packing
from trainers.errors import ENVIRONMENT, INTEGRITY, TrainerError

# everything of a checkpoint but its weights; copied from the checkpoint a run starts from
COMPANIONS = ("*.json", "*.jinja", "*.model", "*.txt")
NOT_COMPANIONS = ("manifest.json", "probe.json", "model.safetensors.index.json", "config.json")


def load_model(checkpoint: Path, dtype: torch.dtype, device: str, *, packed: bool = False) -> Any:
    """A causal language model without dropout; ``packed`` gives it the attention for packed microbatches.

    Raises TrainerError for what is not a loadable safetensors checkpoint.
    """
    from transformers import AutoModelForCausalLM

    require_checkpoint(checkpoint)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=dtype,
            attn_implementation=packing.register() if packed else "sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise TrainerError(
            f"the checkpoint {checkpoint} cannot be loaded: {_first_line(error)}", exit_code=INTEGRITY
        ) from None
    model = model.to(device).eval()
    return lean.slim(model) if packed else model


def load_tokenizer(checkpoint: Path) -> Any:
    """The checkpoint's tokenizer. Raises TrainerError."""
    from transformers import AutoTokenizer

    require_checkpoint(checkpoint)
    try:
        return AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise TrainerError(f"the tokenizer in {checkpoint} cannot be loaded: {_first_line(error)}") from None


def require_checkpoint(checkpoint: Path) -> None:
    """Raise TrainerError unless ``checkpoint`` looks like a safetensors checkpoint."""
    if not (checkpoint / "config.json").is_file():
        raise TrainerError(f"{checkpoint} is no checkpoint: config.json is missing.")
    if not any(checkpoint.glob("*.safetensors")):
        raise TrainerError(f"{checkpoint} holds no safetensors weights; pickled weights are not loaded.")


def stop_token_ids(checkpoint: Path) -> list[int]:
    """The ids that end a turn, from generation_config.json (config.json if that names none). Raises TrainerError."""
    for name in ("generation_config.json", "config.json"):
        path = checkpoint / name
        named = json.loads(path.read_text("utf-8")).get("eos_token_id") if path.exists() else None
        if named is not None:
            return list(named) if isinstance(named, list) else [int(named)]
    raise TrainerError(f"{checkpoint} names no end-of-turn token.", "add eos_token_id to its generation_config.json")


def save_checkpoint(
    model: Any, source: Path, target: Path, dtype: torch.dtype, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write ``weights`` (the model's own if none are given) in ``dtype`` with the tokenizer, template and generation
    settings of ``source``; whole or not at all.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    copy_companions(source, temporary)
    given = model.state_dict() if weights is None else weights
    state = {name: tensor.to("cpu", dtype) for name, tensor in given.items()}
    before = model.config.dtype
    model.config.dtype = dtype
    try:
        model.save_pretrained(temporary, state_dict=state)
    finally:
        model.config.dtype = before
    # settings of the source win over what save_pretrained makes of them: sampling defaults and end tokens stay as
    # they were
    copy_companions(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)


def copy_companions(source: Path, target: Path) -> None:
    """Copy tokenizer, template and generation settings."""
    for pattern in COMPANIONS:
        for path in source.glob(pattern):
            if path.name not in NOT_COMPANIONS:
                shutil.copyfile(path, target / path.name)


def choose_device(wanted: str) -> str:
    """``auto`` → cuda where there is one. Raises TrainerError for a device that is missing."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainerError("there is no CUDA device here.", 'set "device": "cpu"', ENVIRONMENT)
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def set_threads(threads: int | None) -> None:
    """Use ``threads`` threads, or as many as this process may."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
