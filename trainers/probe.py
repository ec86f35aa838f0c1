"""The probe: log-probs of a fixed text, stored with each checkpoint, by which a serving engine proves what it
serves.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from trainers.checkpoint import load_model, load_tokenizer
from trainers.output import Run, write_json
from trainers.spec import Probe

LENGTH = 256
TEXT = (
    "A checkpoint is only as good as the proof that it is the one being served. The harbour at dawn was quiet: "
    "three boats, a crate of lemons, and a radio that played an old waltz. To sort the numbers 17, 4, 92 and 8, "
    'begin with the smallest. In JSON this reads {"name": "Ada", "year": 1815, "tags": ["logic", "poetry"]}. '
    "Water boils at 100 degrees Celsius at sea level, and a little sooner on a mountain. def area(radius): "
    "return 3.14159 * radius ** 2. Every Tuesday the baker leaves two loaves on the step; nobody has ever asked "
    "him why. La pluie tombe doucement sur les toits de la ville. She wrote the letter twice, kept the first "
    "copy, and sent the second without reading it again. If a train leaves at 09:45 and needs two hours and a "
    "half, it arrives at 12:15. Questions are cheap; answers that survive a second look are not. The committee "
    "met, argued about the colour of the shed, and adjourned. Among the stones he found a coin, a key and the "
    "handle of a cup."
)


def probe_tokens(checkpoint: Path) -> list[int]:
    """At most `LENGTH` token ids of the fixed text, fewer where the model has fewer positions."""
    ids: list[int] = load_tokenizer(checkpoint)(TEXT, add_special_tokens=False)["input_ids"]
    return ids[:LENGTH]


@torch.inference_mode()
def measure(model: Any, token_ids: list[int]) -> list[float]:
    """Natural-log probabilities of tokens 1 … T-1 by a plain float32 softmax over full logits."""
    ids = torch.tensor([token_ids], device=model.device)
    logprobs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    found: list[float] = logprobs.gather(-1, ids[0, 1:, None])[:, 0].tolist()
    return found


def write_probe(checkpoint: Path, device: str = "cpu") -> None:
    """Load ``checkpoint`` from disk in float32 and write its ``probe.json``."""
    model = load_model(checkpoint, torch.float32, device)
    positions = getattr(model.config, "max_position_embeddings", LENGTH)
    token_ids = probe_tokens(checkpoint)[:positions]
    write_json(
        checkpoint / "probe.json",
        {
            "text_sha256": hashlib.sha256(TEXT.encode()).hexdigest(),
            "token_ids": token_ids,
            "logprobs": measure(model, token_ids),
            "dtype": "float32",
        },
    )


def run_probe(spec: Probe) -> None:
    """Run a probe spec: the file goes into the checkpoint itself, a manifest into the output directory."""
    run = Run(spec)
    write_probe(spec.model)
    run.finish([], {"checkpoint": str(spec.model)})
