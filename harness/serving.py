"""What a checkpoint is served in."""

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
