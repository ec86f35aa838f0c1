"""A LoRA adapter and the checkpoint it belongs to → one plain checkpoint, so that everything after knows one kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainers.checkpoint import copy_companions, load_model, save_checkpoint
from trainers.errors import ENVIRONMENT, TrainerError

WEIGHTS = "adapter_model.safetensors"


def merge(adapter: Path, base: Path, target: Path) -> None:
    """Write ``base`` + ``adapter`` in float32 to ``target``; a tokenizer or template beside the adapter wins.

    Raises TrainerError where the two do not belong together, or peft is missing.
    """
    if not (adapter / WEIGHTS).is_file():
        raise TrainerError(f"{adapter} holds no {WEIGHTS}; pickled adapters are not loaded.")
    merged = merged_model(load_model(base, torch.float32, "cpu"), adapter)
    save_checkpoint(merged, base, target, torch.float32)
    if (adapter / "tokenizer_config.json").is_file():
        copy_companions(adapter, target)
    for name in ("adapter_config.json", "README.md"):
        (target / name).unlink(missing_ok=True)


def merged_model(model: Any, adapter: Path) -> Any:
    """``model`` with the adapter's update added to its weights; NaN in either is refused."""
    try:
        from peft import PeftModel
    except ImportError:
        raise TrainerError("the package peft is missing.", "pip install 'bridgebench[lora]'", ENVIRONMENT) from None
    try:
        return PeftModel.from_pretrained(model, adapter, local_files_only=True).merge_and_unload(safe_merge=True)
    except (ValueError, KeyError, RuntimeError, TypeError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TrainerError(f"the adapter {adapter} does not fit {base_name(model)}: {first}") from None


def base_name(model: Any) -> str:
    """The class of the model, for a message."""
    return type(model).__name__
