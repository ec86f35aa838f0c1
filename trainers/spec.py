"""The spec: what one run of the trainers is told. Typed; unknown keys are refused with the closest known one."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from trainers.analysis import tasks
from trainers.errors import TrainerError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Device = Literal["auto", "cpu", "cuda"]
Autocast = Literal["bfloat16"] | None


class Strict(BaseModel):
    """Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Common(Strict):
    """What every kind has: where to write, and a record that is copied into the manifest."""

    output: Path
    record: dict[str, Any] = {}
    threads: Count | None = None


class Source(Strict):
    """Where a base model comes from."""

    format: Literal["gguf", "huggingface", "lora", "random"]
    path: Path | None = None
    base: Path | None = None
    """The checkpoint that a LoRA adapter belongs to."""
    chat_template: Path | None = None
    """A Jinja file that replaces the source's own."""
    name: str | None = None
    seed: int = 0
    head: Literal["reward"] | None = None
    """A sequence-classification checkpoint with one output; it predicts no tokens, so it has no probe."""


class Convert(Common):
    """Any source → a float32 Hugging Face checkpoint with tokenizer, template and probe."""

    kind: Literal["convert"]
    source: Source


class Tokenize(Common):
    """Chat rows → token ids and loss mask, or rendered prompts."""

    kind: Literal["tokenize"]
    model: Path
    rows: Path
    format: Literal["sft", "preference", "prompts"]
    max_length: Count = 2048
    loss_on: Literal["last", "all"] = "last"


class Reference(Common):
    """Log-probs of a model on tokenised data, computed once."""

    kind: Literal["reference"]
    model: Path
    data: Path
    autocast: Autocast = "bfloat16"
    max_tokens_per_microbatch: Count = 4096
    device: Device = "auto"
    compile: bool = False


class SFT(Strict):
    """Maximum likelihood of the response tokens."""

    name: Literal["sft"] = "sft"


Alpha = Annotated[float, Field(allow_inf_nan=False)]
DEFAULT_BETA = {"token": 0.3, "sequence": 0.02, "soft_value": 0.3}  # ours, not the paper's


class FSFT(Strict):
    """f-divergence SFT; beta scales the implicit reward beta * (log pi - log pi_0)."""

    name: Literal["f_sft"]
    divergence: Literal[
        "total_variation",
        "pearson_chi2",
        "squared_hellinger",
        "jensen_shannon",
        "reverse_kl",
        "forward_kl",
        "alpha",
    ]
    form: Literal["token", "sequence", "soft_value"] = "token"
    gauge: Literal["reference", "raw"] = "reference"
    beta: Positive = 0.3
    curvature: Literal["unit", "raw"] = "unit"
    max_weight: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 10.0
    beyond: Literal["reverse", "stop"] = "reverse"
    alpha: Alpha | None = None

    @model_validator(mode="before")
    @classmethod
    def _beta_of_the_form(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("beta") is None:
            return {**values, "beta": DEFAULT_BETA.get(values.get("form", "token"), 0.3)}
        return values

    @model_validator(mode="after")
    def _settings_belong_together(self) -> FSFT:
        if (self.divergence == "alpha") != (self.alpha is not None):
            raise ValueError("alpha is needed by divergence alpha and taken by no other")
        if self.alpha in (0.0, 1.0):
            raise ValueError("alpha 0 is forward_kl and alpha 1 is reverse_kl; name those")
        if self.gauge == "raw" and self.form != "soft_value":
            raise ValueError(f"gauge belongs to form soft_value; form {self.form} has no values")
        return self


NO_SCORE = {
    "total_variation": "its f' takes two values only, so a policy cannot be read off a reward",
    "pearson_chi2": "its f'(0) is finite, so the optimal policy may give a response no probability at all, "
    "and the normaliser then does not cancel in a pair",
    "squared_hellinger": "it is alpha 0.5 at half the scale: write divergence: alpha, alpha: 0.5",
}


class DPO(Strict):
    """Direct preference optimisation against the checkpoint the run starts from; other divergences than reverse_kl
    make it f-DPO.
    """

    name: Literal["dpo"]
    beta: Positive = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    divergence: Literal["reverse_kl", "forward_kl", "jensen_shannon", "alpha"] = "reverse_kl"
    alpha: Alpha | None = None

    @field_validator("divergence", mode="before")
    @classmethod
    def _has_a_score(cls, value: Any) -> Any:
        if value in NO_SCORE:
            raise ValueError(f"{value} has no preference score: {NO_SCORE[value]}")
        return value

    @model_validator(mode="after")
    def _alpha_belongs_to_alpha(self) -> DPO:
        if (self.divergence == "alpha") != (self.alpha is not None):
            raise ValueError("alpha is needed by divergence alpha and taken by no other")
        return self


class Lora(Strict):
    """Low-rank adapters instead of whole weights; merged when the checkpoint is saved."""

    rank: Count = 16
    alpha: Positive = 32.0
    targets: Literal["all-linear"] | list[str] = "all-linear"


WeightDtype = Literal["float32", "bfloat16_master", "bfloat16_stochastic", "bfloat16"]
Objective = Annotated[SFT | FSFT | DPO, Field(discriminator="name")]


class Train(Common):
    """Checkpoint + data (+ reference) → checkpoint."""

    kind: Literal["train"]
    model: Path
    data: Path
    reference: Path | None = None
    objective: Objective = SFT()
    learning_rate: Positive
    epochs: Count = 1
    max_steps: Count | None = None
    batch_size: Count = 16
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_tokens_per_microbatch: Count = 2048
    weight_dtype: WeightDtype = "float32"
    autocast: Autocast = "bfloat16"
    save_dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    device: Device = "auto"
    checkpoint_every: Count | Literal["auto"] = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    lora: Lora | None = None
    eval_data: Path | None = None
    eval_reference: Path | None = None
    eval_every: Count | None = None
    tensorboard: bool = False


class Probe(Common):
    """Write ``probe.json`` into an existing checkpoint directory."""

    kind: Literal["probe"]
    model: Path


class Analyze(Common):
    """What is measured on checkpoints (see `trainers.analysis`); float32 throughout."""

    kind: Literal["analyze"]
    task: tasks.AnyTask
    chunk_size: Count = 64
    """Sequences per resumable chunk."""
    max_tokens_per_microbatch: Count = 4096
    device: Device = "auto"


Spec = Annotated[Convert | Tokenize | Reference | Train | Probe | Analyze, Field(discriminator="kind")]
ADAPTER: TypeAdapter[Any] = TypeAdapter(Spec)
TASK_NAMES = ("corrupt", "states", "rewards", "values", "drift")
# where a run writes and how it is scheduled does not change what it computes
EXECUTION_ONLY = {"output", "record", "threads", "checkpoint_every", "tensorboard"}


def read(path: Path) -> Any:
    """The spec in ``path``. Raises TrainerError that lists every mistake."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TrainerError(f"the spec {path} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise TrainerError(f"the spec {path} is not valid JSON ({error}).") from None
    try:
        return ADAPTER.validate_python(values)
    except ValidationError as error:
        mistakes = [_explain(item, values) for item in error.errors()]
        raise TrainerError(f"{path.name} has {len(mistakes)} mistakes:\n  " + "\n  ".join(mistakes)) from None


def identity(spec: Common) -> dict[str, Any]:
    """The settings that decide what the run computes."""
    return spec.model_dump(mode="json", exclude=EXECUTION_ONLY)


def _explain(item: Any, values: Any) -> str:
    kinds = {"convert", "tokenize", "reference", "train", "probe", "sft", "f_sft", "dpo", "analyze", *TASK_NAMES}
    location = [str(part) for part in item["loc"] if str(part) not in kinds]
    dotted = ".".join(location) or "kind"
    if item["type"] == "extra_forbidden":
        close = get_close_matches(location[-1], _known_keys(), n=1)
        return f'unknown key "{dotted}".' + (f' Did you mean "{close[0]}"?' if close else "")
    if item["type"] == "missing":
        return f'"{dotted}" is missing.'
    shown = item.get("input")
    message = item["msg"].removeprefix("Value error, ")
    return f"{dotted}: {message}" + ("" if isinstance(shown, dict) else f" (it is {shown!r})")


def _known_keys() -> list[str]:
    models: tuple[type[BaseModel], ...] = (Convert, Tokenize, Reference, Train, Probe, Source, FSFT, DPO, Lora)
    models += (Analyze, tasks.Corrupt, tasks.States, tasks.Rewards, tasks.Values, tasks.Drift)
    return sorted({name for model in models for name in model.model_fields})
