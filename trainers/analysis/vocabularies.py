"""Two models are compared token by token only if they mean the same tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainers.checkpoint import load_tokenizer
from trainers.errors import TrainerError


def require_same_tokenizer(model: Path, reference: Path) -> None:
    """Raise TrainerError unless both checkpoints map the same tokens to the same ids."""
    own, other = (load_tokenizer(checkpoint).get_vocab() for checkpoint in (model, reference))
    if own == other:
        return
    differing = sorted(
        (token for token in own | other if own.get(token) != other.get(token)), key=lambda t: (len(t), t)
    )
    token = differing[0]
    raise TrainerError(
        f"the model {model} and its reference {reference} have different tokenizers: {len(differing)} tokens differ, "
        f"for example {token!r} (id {own.get(token)} and {other.get(token)}). Log-ratios per token mean nothing then.",
        "name a reference of the same family, such as the base model it was trained from",
    )


def require_same_head(model: Any, reference: Any) -> None:
    """Raise TrainerError unless both heads have one output per token of the same vocabulary."""
    sizes = [each.get_output_embeddings().weight.shape[0] for each in (model, reference)]
    if sizes[0] != sizes[1]:
        raise TrainerError(
            f"the model's output head has {sizes[0]} rows, the reference's {sizes[1]}: their vocabularies differ."
        )
