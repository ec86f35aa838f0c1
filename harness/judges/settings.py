"""Who says which completion is better: the judge of a recipe, one class a protocol.

``judge: {name: rules}`` needs no protocol; every other judge names its own: ``judge: {protocol: pairwise, …}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness.endpoint.settings import EndpointSettings
from harness.strict import Count, Fraction, NotNegative, Positive, Strict

REFERENCE = "reference"
"""The baseline that a benchmark brings along: its own reference outputs."""


class Rules(Strict):
    """Exact verifiers, free of charge."""

    name: Literal["rules"] = "rules"
    protocol: Literal["rules"] = Field(default="rules", exclude=True)
    baseline: str = "base"


class LlmJudge(Strict):
    """What every judge that can fail to answer has."""

    max_missing: Fraction = 0.01
    """The share of a row's verdicts that may be missing; beyond it the row fails."""

    @property
    def endpoint_settings(self) -> EndpointSettings | None:
        """Where it is asked; None for a judge served here."""
        return getattr(self, "endpoint", None)


class Served(Strict):
    """A judge model that is served here, once for the whole board."""

    backend: Literal["vllm", "transformers"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    chunk_size: Count = 64
    max_model_len: Count = 2048
    tensor_parallel: Count = 1
    kv_cache_gib: Positive = 2.0


class AlpacaEvalJudge(LlmJudge):
    """A judge configuration that the ``alpaca-eval`` package ships: its prompt, sampling, parser and order rule."""

    protocol: Literal["alpaca_eval"]
    annotators_config: str = "weighted_alpaca_eval_gpt4_turbo"
    endpoint: EndpointSettings
    order_seed: int = 0
    baseline: str = REFERENCE

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"alpaca_eval/{self.annotators_config} ({self.endpoint.model})"


class ArenaHardJudge(LlmJudge):
    """Two games a question with positions swapped, five labels."""

    protocol: Literal["arena_hard"]
    version: Literal["v0.1", "v2"] = "v0.1"
    prompts: str | None = None
    """The official judge configuration (YAML with system_prompt and prompt_template); without it our own wording."""
    endpoint: EndpointSettings
    temperature: NotNegative = 0.0
    max_tokens: Count = 4096
    strong_weight: Count = 3
    """Battles that a "much better" counts as."""
    baseline: str = REFERENCE

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"arena_hard {self.version} ({self.endpoint.model})"


class MtBenchJudge(LlmJudge):
    """Single-answer grading of two turns, guided by a reference answer for math, reasoning and coding."""

    protocol: Literal["mt_bench"]
    prompts: str | None = None
    """FastChat's ``judge_prompts.jsonl``; without it our own wording."""
    endpoint: EndpointSettings
    temperature: NotNegative = 0.0
    max_tokens: Count = 2048
    baseline: None = None

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"mt_bench ({self.endpoint.model})"


class PairwiseJudge(LlmJudge):
    """Our own judge of pairs, in both orders: a model behind an endpoint, or one that is served here."""

    protocol: Literal["pairwise"]
    endpoint: EndpointSettings | None = None
    model: str | None = None
    """``hub:…``, ``pypi:…`` or a path: served here, verdicts from the labels' own log-probs."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    served: Served = Served()
    temperature: NotNegative = 0.0
    max_tokens: Count = 1024
    baseline: str = "base"

    @model_validator(mode="after")
    def _one_judge(self) -> PairwiseJudge:
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("give either endpoint (asked over the network) or model (served here)")
        return self

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"pairwise ({self.endpoint.model if self.endpoint is not None else self.model})"


class RewardModelJudge(LlmJudge):
    """A sequence-classification checkpoint that scores each completion alone; the higher one wins."""

    protocol: Literal["reward_model"]
    model: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    chunk_size: Count = 16
    max_length: Count = 2048
    baseline: str = "base"

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"reward_model ({self.model})"


class ReplayJudge(LlmJudge):
    """Stored verdicts instead of a model: our JSON Lines or AlpacaEval's ``annotations.json``."""

    protocol: Literal["replay"]
    verdicts: str
    baseline: str = "base"

    @property
    def name(self) -> str:
        """What boards call it."""
        return f"replay ({Path(self.verdicts).name})"


PROTOCOLS: dict[str, type[Strict]] = {
    "rules": Rules,
    "alpaca_eval": AlpacaEvalJudge,
    "arena_hard": ArenaHardJudge,
    "mt_bench": MtBenchJudge,
    "pairwise": PairwiseJudge,
    "reward_model": RewardModelJudge,
    "replay": ReplayJudge,
}


def _protocol(value: Any) -> str:
    """Which class reads it; without a protocol it is the rules judge, as recipes have always written it."""
    if isinstance(value, dict):
        return str(value.get("protocol", "rules"))
    return str(getattr(value, "protocol", "rules"))


Judge = Annotated[
    Annotated[Rules, Tag("rules")]
    | Annotated[AlpacaEvalJudge, Tag("alpaca_eval")]
    | Annotated[ArenaHardJudge, Tag("arena_hard")]
    | Annotated[MtBenchJudge, Tag("mt_bench")]
    | Annotated[PairwiseJudge, Tag("pairwise")]
    | Annotated[RewardModelJudge, Tag("reward_model")]
    | Annotated[ReplayJudge, Tag("replay")],
    Discriminator(_protocol),
]
