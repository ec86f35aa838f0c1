"""The ``assumptions`` block of a recipe: what `plan --cost` cannot know without loading models and data."""

from __future__ import annotations

from harness.strict import Count, Fraction, Name, NotNegative, Positive, Strict


class ModelShape(Strict):
    """The base model's size, from its public configuration."""

    parameters: Positive
    layers: Count
    hidden: Count
    kv_heads: Count
    head_dim: Count


class Rows(Strict):
    """A training set: rows, and mean tokens of a row (of both sides with their prompts, for pairs)."""

    rows: Count
    tokens: Positive


class Prompts(Strict):
    """A benchmark: how many prompts, and mean lengths in tokens; ``judge_*`` are those of one verdict."""

    prompts: Count
    turns: Count = 1
    prompt_tokens: Positive
    completion_tokens: Positive
    verdicts: Count = 1
    """Verdicts a prompt and turn."""
    judge_prompt_tokens: NotNegative = 0.0
    judge_completion_tokens: NotNegative = 0.0


class Assumptions(Strict):
    """Declared, not measured; printed beside every figure that follows from them."""

    model: ModelShape
    sft: Rows
    preference: Rows | None = None
    benchmarks: dict[Name, Prompts]
    decode_utilisation: Fraction = 0.1
    """Share of the peak that batched generation reaches; it is bound by memory, not by arithmetic."""
    sources: list[str] = []
    """Where the figures come from, in words."""
