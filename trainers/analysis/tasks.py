"""The settings of each analysis task; `trainers.spec.Analyze` carries one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Corruption = Literal["rejected", "foreign", "shuffled", "token"]


class Task(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Corrupt(Task):
    """Tokenised data → good continuations and corrupted ones from the same prefix; no model is asked."""

    name: Literal["corrupt"]
    data: Path
    kinds: Annotated[list[Corruption], Field(min_length=1)] = ["rejected", "foreign", "shuffled", "token"]
    seed: int = 0


class States(Task):
    """One pass of one checkpoint: per response token its log-prob, per state the logsumexp of its logits."""

    name: Literal["states"]
    model: Path
    data: Path
    rendered_by: Path | None = None
    """The checkpoint whose tokenizer made the data; ``model`` must have the same."""


class Rewards(Task):
    """Implicit rewards ``beta * sum d_t`` from two `States` of the same data."""

    name: Literal["rewards"]
    policy: Path
    reference: Path
    beta: Positive
    pairs: bool = True
    """The data are preference pairs; False: demonstrations."""


class Values(Task):
    """V, Q and r_t along responses from two `States` of the same data."""

    name: Literal["values"]
    policy: Path
    reference: Path
    beta: Positive


class Drift(Task):
    """KL(policy || reference) on fresh samples of the policy.

    Other sampling settings than the policy's own are refused: completions drawn greedily, or from a cut or heated
    distribution, estimate no KL of the policy.
    """

    name: Literal["drift"]
    model: Path
    reference: Path
    prompts: Path
    samples_per_prompt: Count = 4
    max_new_tokens: Count = 128
    """The length cap: the KL is that of the first ``max_new_tokens`` tokens."""
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _samples_are_the_policys_own(cls, values: Any) -> Any:
        wanted = {"temperature": (1, 1.0), "top_p": (1, 1.0), "top_k": (None, 0, -1), "do_sample": (True,)}
        for key, allowed in wanted.items():
            if isinstance(values, dict) and key in values and values[key] not in allowed:
                raise ValueError(
                    f"drift is an expectation over the policy's own samples; {key} {values[key]} would draw from "
                    "another distribution (greedy completions give no KL). Leave temperature, top_p and top_k out"
                )
        return {k: v for k, v in values.items() if k != "do_sample"} if isinstance(values, dict) else values


AnyTask = Annotated[Corrupt | States | Rewards | Values | Drift, Field(discriminator="name")]
