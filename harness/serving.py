"""What a checkpoint is served in, and on how many GPUs."""

from __future__ import annotations

from harness.errors import ConfigError


def serving_dtype(dtype: str, device: str, setting: str = "generate.dtype") -> str:
    """``auto`` resolved for ``device``. Raises ConfigError for what cannot be proven there."""
    if dtype == "auto":
        return "bfloat16" if device == "cuda" else "float32"
    if dtype == "bfloat16" and device == "cpu":
        raise ConfigError(
            f"{setting}: bfloat16 is not served on a CPU: the output then depends on how prompts are batched, "
            "and a weight swap cannot be proven.",
            f"use {setting}: auto",
        )
    return dtype


def tensor_parallel(gpus: int, backend: str, device: str, setting: str = "generate.tensor_parallel") -> dict[str, int]:
    """What a stage's identity says of GPUs that hold one model together: nothing of a single one.

    It is identity because it changes the order of sums, and with it bfloat16 output, as the chunk size does. Raises
    ConfigError for what cannot be split.
    """
    if gpus == 1:
        return {}
    if backend != "vllm":
        raise ConfigError(f"{setting}: {gpus} GPUs need backend vllm; {backend} serves on one device.")
    if device == "cpu":
        raise ConfigError(
            f"{setting}: a model is split over {gpus} GPUs, and this machine has none that can be used.",
            f"leave {setting} at 1",
        )
    return {"tensor_parallel": gpus}
