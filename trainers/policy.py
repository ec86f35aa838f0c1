"""The model in training: loaded, adapted, slimmed, checkpointed, compiled and sharded as a spec says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainers import lora
from trainers.checkpoint import load_model
from trainers.distributed import World, whole
from trainers.errors import USAGE, TrainerError
from trainers.layers import compile_layers, layers
from trainers.logprobs import Microbatch, Scores, check_head, response_scores
from trainers.optimizer import stored_dtype
from trainers.spec import Train


class Scorer(nn.Module):
    """Microbatch → scores of its response tokens. The root that is sharded, for body and head are used in it."""

    def __init__(self, model: Any, autocast: str | None) -> None:
        super().__init__()
        self.model, self.autocast = model, autocast

    def forward(self, batch: Microbatch, tails: bool = False) -> Scores:
        """Log-probs and logsumexps; ``tails`` adds the states behind truncated turns."""
        return response_scores(self.model, batch, self.autocast, tails=tails)


def make_policy(spec: Train, device: str, world: World) -> Scorer:
    """The scorer of a train spec. Raises TrainerError for settings that do not go together."""
    if spec.lora is not None and (world.size > 1 or spec.weight_dtype != "float32"):
        raise TrainerError("lora is trained with float32 weights and in one process.", exit_code=USAGE)
    model = load_model(spec.model, stored_dtype(spec.weight_dtype), device, packed=True)
    check_head(model)
    if spec.lora is not None:
        model = lora.attach(model, spec.lora, spec.seed)
    elif world.size == 1 and model.get_input_embeddings().weight is model.get_output_embeddings().weight:
        # the few rows that were looked up are added to the head's gradient, instead of a second one of its size
        model.get_input_embeddings().sparse = True
    if spec.gradient_checkpointing:
        recompute(model)
    if spec.compile:
        compile_layers(model, device)
    scorer = Scorer(model, spec.autocast)
    world.shard(scorer, layers(model))
    return scorer


def recompute(model: Any) -> None:
    """Keep only each layer's input and compute the rest again in the backward pass.

    `transformers` does so in training mode alone, which would turn dropout on; so only the layers themselves, not what
    is in them, are put into it.
    """
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    for layer in layers(model):
        layer.training = True


def trained_parameters(scorer: Scorer) -> list[tuple[str, Tensor]]:
    """Names (of the model, without the scorer's prefix) and parameters that training changes."""
    return [(name, parameter) for name, parameter in scorer.model.named_parameters() if parameter.requires_grad]


def plain_weights(scorer: Scorer, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What is saved: whole tensors by their names in a plain checkpoint, tied ones once, adapters merged, float32
    copies where there are some. Every process must ask.
    """
    model = scorer.model
    kept = dict(model.named_parameters())
    kept |= {name: tensor for name, tensor in model.state_dict().items() if name in dict(model.named_buffers())}
    merged = lora.merged(model)
    found = {}
    for name, tensor in kept.items():
        if "lora_" not in name:
            stored = merged.get(name, optimizer.state.get(tensor, {}).get("master", tensor))
            found[name.replace(".base_layer.", ".")] = whole(stored).detach()
    return found
