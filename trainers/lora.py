"""Low-rank adapters through `peft`: a small trainable pair of matrices beside every linear layer, merged on save.

The adapters are put into the model in place, so everything else sees the model it knows; what is written is a plain
checkpoint that any engine serves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainers.errors import ENVIRONMENT, TrainerError

ADAPTER = "default"


def attach(model: Any, settings: Any, seed: int) -> Any:
    """Put adapters into ``model``; only they are trained. Their first matrices are drawn from ``seed``."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise TrainerError(
            "lora needs the package peft, which is not installed.", 'pip install "bridgebench[lora]"', ENVIRONMENT
        ) from None
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=targets, lora_dropout=0.0)
    config.exclude_modules = ["lm_head"]
    torch.manual_seed(seed)
    try:
        model = inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    except ValueError as error:
        raise TrainerError(f"lora.targets {settings.targets} cannot be adapted: {error}") from None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return model


@torch.no_grad()
def merged(model: Any) -> dict[str, Tensor]:
    """The adapted weights by parameter name, W + scale * B A; empty for a model without adapters."""
    found = {}
    for name, module in model.named_modules():
        if ADAPTER in getattr(module, "lora_A", {}):
            found[f"{name}.base_layer.weight"] = module.get_base_layer().weight + module.get_delta_weight(ADAPTER)
    return found
