"""What the trainer benchmark stands on: its model, the environment of its children, machine and versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# hidden, intermediate, layers, heads, key-value heads, vocabulary, tied
SHAPES = {
    "tiny": (128, 256, 2, 4, 2, 320, True),
    "1.7b": (2048, 8192, 24, 32, 32, 49152, True),
    "3b": (3072, 8192, 28, 24, 8, 128256, True),
    "llama-3-8b": (4096, 14336, 32, 32, 8, 128256, False),
}


def environment() -> dict[str, str]:
    """Children import this checkout and reach for no network."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def fetched(reference: str, work: Path) -> dict[str, Any]:
    """The trainers' source of a model reference."""
    from harness import models
    from harness.config import ModelReference

    return models.resolve(ModelReference(reference=reference), work / "cache").fetch()


def random_model(name: str, target: Path, weights: str) -> None:
    """A randomly initialised Llama of a known shape with the byte tokenizer, in the dtype it is trained in."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from trainers.convert import byte_tokenizer

    hidden, inner, layers, heads, shared, vocabulary, tied = SHAPES[name]
    tokenizer = byte_tokenizer()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=8192,
        bos_token_id=None,
        eos_token_id=stop,
        pad_token_id=stop,
    )
    dtype = torch.float32 if weights == "float32" else torch.bfloat16
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config).to(dtype)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, memory, GPU, Python."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    found = {
        "cpu": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def versions() -> dict[str, str]:
    """The packages that decide the figures."""
    names = ("torch", "transformers", "trl", "accelerate", "datasets")
    installed = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in names if name in installed}
