"""Scalar rewards of a sequence-classification checkpoint by `transformers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.backends.engine import Generated, Sampling
from harness.errors import EnvironmentFault


class RewardEngine:
    """Loads each checkpoint afresh; texts are scored one after another, so that a batch cannot change a score."""

    def __init__(self, dtype: str, device: str) -> None:
        self.dtype, self.device = dtype, device
        self.model: Any = None
        self.proof: dict[str, Any] = {}

    def load(self, checkpoint: Path) -> None:
        """Load ``checkpoint``. Raises EnvironmentFault for a model without exactly one output, or without its head."""
        import torch
        from transformers import AutoModelForSequenceClassification

        self.model = None
        model, found = AutoModelForSequenceClassification.from_pretrained(
            checkpoint,
            dtype=getattr(torch, self.dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        if found["missing_keys"]:
            raise EnvironmentFault(
                f"{checkpoint} is no reward model: it lacks {', '.join(sorted(found['missing_keys'])[:3])}."
            )
        if model.config.num_labels != 1:
            raise EnvironmentFault(f"{checkpoint} gives {model.config.num_labels} figures a text; a reward model one.")
        self.model = model.to(self.device).eval()

    def rewards(self, texts: list[list[int]]) -> list[float]:
        """The model's one output for each text (token ids)."""
        import torch

        with torch.inference_mode():
            return [float(self.model(torch.tensor([ids], device=self.device)).logits[0, 0].float()) for ids in texts]

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        """Not offered."""
        raise NotImplementedError

    def score(self, prompts: list[list[int]], continuations: list[list[list[int]]]) -> list[list[float]]:
        """Not offered."""
        raise NotImplementedError

    def decode(self, token_ids: list[int], *, keep_special: bool) -> str:
        """Not offered."""
        raise NotImplementedError
