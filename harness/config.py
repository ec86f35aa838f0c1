"""The recipe: what is trained, generated, judged and shown. Typed, and strict about unknown keys.

A recipe is YAML; `harness.recipe_file` reads it and turns every mistake into one list with line numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from harness import sweeps
from harness.claims.settings import Claims
from harness.cost.settings import Assumptions
from harness.external import External, ModelReference
from harness.judges.settings import Judge, Rules
from harness.strict import Count, Fraction, Name, Positive, Strict

Divergence = Literal[
    "total_variation",
    "pearson_chi2",
    "squared_hellinger",
    "jensen_shannon",
    "reverse_kl",
    "forward_kl",
    "alpha",
]
Alpha = Annotated[float, Field(allow_inf_nan=False)]
Form = Literal["token", "sequence", "soft_value"]
DEFAULT_BETA = {"token": 0.3, "sequence": 0.02, "soft_value": 0.3}
"""Of f-SFT. Ours, not a paper's: a response has many tokens, so a sequence's sum needs a smaller scale."""
NO_PREFERENCE_SCORE = {
    "total_variation": "its f' takes two values only, so a policy cannot be read off a reward",
    "pearson_chi2": "its f'(0) is finite, so the normaliser need not cancel in a pair",
    "squared_hellinger": "it is alpha 0.5 at half the scale: write divergence: alpha, alpha: 0.5",
}


Settings = TypeVar("Settings", bound=Strict)


class DataSource(Strict):
    """Rows to train on or to answer: ``builtin:microtasks``, ``hub:org/name@revision`` or a JSON Lines file."""

    source: str
    split: str
    rows: Count | None = None
    seed: int = 0
    config: str | None = None
    """Configuration (subset) name of a hub data set."""
    columns: dict[str, str] = {}
    """Ours → theirs, for hub data sets, e.g. ``{messages: conversation}``."""


WeightDtype = Literal["float32", "bfloat16_master", "bfloat16_stochastic", "bfloat16"]


class Lora(Strict):
    """Low-rank adapters instead of whole weights; merged when a checkpoint is saved."""

    rank: Count = 16
    alpha: Positive = 32.0
    targets: Literal["all-linear"] | list[str] = "all-linear"


class Training(Strict):
    """Settings every training stage starts from; a variant or preference stage may override any of them."""

    learning_rate: Positive = 1e-4
    epochs: Count = 1
    max_steps: Count | None = None
    batch_size: Count = 16
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: Fraction = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Positive = 1.0
    adam_betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    max_length: Count = 512
    loss_on: Literal["last", "all"] = "last"
    """Of a demonstration with several assistant turns: train on the last, or on every one."""
    max_tokens_per_microbatch: Count = 2048
    weight_dtype: WeightDtype = "float32"
    """How weights are kept: ``bfloat16_master`` beside float32 copies, ``bfloat16_stochastic`` rounded at random,
    ``bfloat16`` bare, where small updates are lost (its rows are marked)."""
    autocast: Literal["bfloat16"] | None = "bfloat16"
    save_dtype: Literal["float32", "bfloat16"] = "float32"
    checkpoint_every: Count | Literal["auto"] = "auto"
    """Steps between resume points; execution only, not part of a stage's identity."""
    gradient_checkpointing: bool = False
    """Keep each layer's input alone and compute the rest again: less memory, a third more time."""
    compile: bool = False
    lora: Lora | None = None
    tensorboard: bool = False
    """Curves for TensorBoard beside metrics.jsonl; execution only."""
    eval_every: Count | None = None
    """Steps between two measurements of the loss on ``data.sft_eval`` or ``data.preference_eval``; the last step's is
    always measured."""


class Overrides(Strict):
    """The training settings that one variant or preference stage sets differently."""

    learning_rate: Positive | None = None
    epochs: Count | None = None
    max_steps: Count | None = None
    batch_size: Count | None = None
    schedule: Literal["linear", "cosine", "constant"] | None = None
    warmup_ratio: Fraction | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    max_grad_norm: Positive | None = None
    weight_dtype: WeightDtype | None = None
    lora: Lora | None = None
    sweep: dict[str, list[Any]] = {}
    """Setting → values; one cell per combination, named after its values (see `harness.sweeps`)."""


class Variant(Overrides):
    """One SFT objective."""

    objective: Literal["sft", "f_sft"] = "sft"
    divergence: Divergence | None = None
    form: Form | None = None
    gauge: Literal["reference", "raw"] | None = None
    """Of form soft_value: values against the reference's, or raw (a warning says why not)."""
    alpha: Alpha | None = None
    """Of divergence alpha."""
    beta: Positive | None = None
    curvature: Literal["unit", "raw"] | None = None
    max_weight: Annotated[float, Field(gt=1)] | None = None
    beyond: Literal["reverse", "stop"] | None = None

    @model_validator(mode="after")
    def _divergence_belongs_to_f_sft(self) -> Variant:
        shaped = {"divergence", "form", "gauge", "alpha", "beta", "curvature", "max_weight", "beyond"}
        given = sorted(name for name in shaped if getattr(self, name) is not None)
        if self.objective == "sft" and given:
            raise ValueError(f"objective sft takes no {', '.join(given)}; write objective: f_sft")
        if self.objective == "f_sft" and self.divergence is None and "divergence" not in self.sweep:
            raise ValueError("objective f_sft needs a divergence")
        if self.gauge is not None and self.form != "soft_value":
            raise ValueError(f"gauge belongs to form soft_value; form {self.form or 'token'} has no values")
        _check_alpha(self.divergence, self.alpha)
        if self.alpha in (0.0, 1.0):
            raise ValueError("alpha 0 is forward_kl and alpha 1 is reverse_kl; name those")
        return self

    @model_validator(mode="after")
    def _sweep_gives_variants(self) -> Variant:
        sweeps.expand("", self, self.sweep)
        return self

    def settings(self) -> dict[str, Any]:
        """The objective as the trainers take it, defaults written out (they are part of the identity)."""
        if self.objective == "sft":
            return {"name": "sft"}
        form = self.form or "token"
        found = {
            "name": "f_sft",
            "divergence": self.divergence,
            "form": form,
            "beta": self.beta or DEFAULT_BETA[form],
            "curvature": self.curvature or "unit",
            "max_weight": self.max_weight or 10.0,
            "beyond": self.beyond or "reverse",
        }
        # settings that exist for some choices only stand with those, so that they do not change the keys of others
        if form == "soft_value":
            found["gauge"] = self.gauge or "reference"
        if self.divergence == "alpha":
            found["alpha"] = self.alpha
        return found


def _check_alpha(divergence: str | None, alpha: float | None) -> None:
    if (divergence == "alpha") != (alpha is not None):
        raise ValueError("alpha is needed by divergence alpha and taken by no other")


class PreferenceStage(Overrides):
    """One preference objective on top of an SFT checkpoint, which is its reference; another divergence than
    reverse_kl makes DPO f-DPO.
    """

    objective: Literal["dpo"] = "dpo"
    beta: Positive = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    divergence: Literal["reverse_kl", "forward_kl", "jensen_shannon", "alpha"] = "reverse_kl"
    alpha: Alpha | None = None

    @field_validator("divergence", mode="before")
    @classmethod
    def _has_a_score(cls, value: Any) -> Any:
        if value in NO_PREFERENCE_SCORE:
            raise ValueError(f"{value} has no preference score: {NO_PREFERENCE_SCORE[value]}")
        return value

    @model_validator(mode="after")
    def _alpha_belongs_to_alpha(self) -> PreferenceStage:
        _check_alpha(self.divergence, self.alpha)
        return self

    @model_validator(mode="after")
    def _sweep_gives_stages(self) -> PreferenceStage:
        sweeps.expand("", self, self.sweep)
        return self

    def settings(self) -> dict[str, Any]:
        """The objective as the trainers take it; the divergence only where it is not plain DPO's."""
        found = {"name": self.objective, "beta": self.beta, "label_smoothing": self.label_smoothing}
        if self.divergence != "reverse_kl":
            found["divergence"] = self.divergence
        if self.alpha is not None:
            found["alpha"] = self.alpha
        return found


class Data(Strict):
    """Where demonstrations and preference pairs come from; ``…_eval``: held-out ones, for the loss alone."""

    sft: DataSource
    preference: DataSource | None = None
    sft_eval: DataSource | None = None
    preference_eval: DataSource | None = None


class Generate(Strict):
    """How prompts are answered."""

    backend: Literal["vllm", "transformers"] = "vllm"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` is float32 on a CPU, where bfloat16 output depends on the batch, and bfloat16 on CUDA."""
    max_new_tokens: Count = 128
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 0
    chunk_size: Count = 64
    max_model_len: Count = 2048
    tensor_parallel: Count = 1
    """GPUs that hold one model together (vLLM); the order of sums follows it, so other than 1 is part of the key."""
    kv_cache_gib: Positive = 2.0
    """Memory for the engine's cache on a CPU; execution only."""


class GenerateOverrides(Strict):
    """The generation settings that one benchmark sets differently."""

    max_new_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    chunk_size: Count | None = None
    max_model_len: Count | None = None


class Benchmark(DataSource):
    """Prompts to answer; it may be answered and judged differently from the recipe's other benchmarks."""

    split: str = "eval"
    path: str | None = None
    """File of a public benchmark's questions, in its own format; without it they come from the hub."""
    baseline_outputs: str | None = None
    """File of the reference model's outputs, for ``judge.baseline: reference``."""
    reference_answers: str | None = None
    """MT-Bench's reference answers (``reference_answer/gpt-4.jsonl``)."""
    generate: GenerateOverrides = GenerateOverrides()
    judge: Judge | None = None


@dataclass(frozen=True)
class Evaluation:
    """How every row answers one benchmark and who judges it: a `Benchmark` with nothing left to look up."""

    name: str
    benchmark: Benchmark
    generate: Generate
    judge: Judge


class Statistics(Strict):
    """Resampling behind the intervals."""

    bootstrap_draws: Annotated[int, Field(ge=200)] = 2000
    seed: int = 0


class Resources(Strict):
    """What one stage takes of a machine; execution only, so it is part of no stage's identity."""

    training_gpus: Count = 1
    """GPUs of one machine that a training stage is sharded over (FSDP2 under torchrun)."""
    cpus: Count | None = None
    """Cores that a stage asks a cluster for. Default: one a GPU; without GPUs, those of the smallest node."""


class Recipe(Strict):
    """A matrix of training recipes, and how its checkpoints are compared."""

    name: Name
    title: str
    description: str = ""
    base: ModelReference | None = None
    """What variants are trained from, and a row of its own; a recipe of external rows may do without."""
    data: Data | None = None
    benchmark: Benchmark | None = None
    """The only benchmark of a recipe that has one; ``benchmarks`` names several, the first decides ranks."""
    benchmarks: dict[Name, Benchmark] = {}
    training: Training = Training()
    variants: dict[Name, Variant] = {}
    externals: dict[Name, External] = {}
    """Rows that were not trained here, by name."""
    sweep: dict[str, list[Any]] = {}
    """Axes of every variant that does not set them itself; beta and its like reach the f-SFT variants only."""
    preference_stages: Annotated[dict[Name, PreferenceStage | None], Field(min_length=1)] = {"none": None}
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    generate: Generate = Generate()
    judge: Judge = Rules()
    statistics: Statistics = Statistics()
    resources: Resources = Resources()
    claims: Claims | None = None
    assumptions: Assumptions | None = None
    """Sizes and mean lengths for ``plan --cost``; nothing that runs reads them."""

    @cached_property
    def cells(self) -> dict[str, Variant]:
        """Every variant with its axes opened: name → settings without a sweep."""
        return sweeps.expand_all(self.variants, {name: self._axes(variant) for name, variant in self.variants.items()})

    @cached_property
    def stages(self) -> dict[str, PreferenceStage | None]:
        """Every preference stage with its axes opened."""
        return sweeps.expand_all(
            self.preference_stages, {name: stage.sweep for name, stage in self.preference_stages.items() if stage}
        )

    def _axes(self, variant: Variant) -> sweeps.Axes:
        """The recipe's axes that ``variant`` takes and does not set itself, then its own."""
        shared = Overrides.model_fields if variant.objective == "sft" else Variant.model_fields
        taken = {
            axis: values
            for axis, values in self.sweep.items()
            if axis in shared and axis not in variant.sweep and getattr(variant, axis) is None
        }
        return taken | variant.sweep

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """Every benchmark with its settings, the primary one first."""
        named = dict(self.benchmarks) if self.benchmark is None else {short_name(self.benchmark): self.benchmark}
        return {
            name: Evaluation(name, benchmark, merged(self.generate, benchmark.generate), benchmark.judge or self.judge)
            for name, benchmark in named.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if (self.benchmark is None) == (not self.benchmarks):
            raise ValueError("give either benchmark (one) or benchmarks (several, by name)")
        self._require_rows()
        if any(self.preference_stages.values()) and self.data is not None and self.data.preference is None:
            raise ValueError("a preference stage needs data.preference")
        self._require_held_out_data()
        if "base" in self.variants:
            raise ValueError('a variant cannot be called "base"; that is the untouched model\'s row')
        sweeps.check_axes(Variant, self.sweep)
        for axis in self.sweep:
            if not any(axis in self._axes(variant) for variant in self.variants.values()):
                raise ValueError(f"sweep.{axis} reaches no variant: none takes it, or each sets it itself")
        _ = self.cells, self.stages  # opens every axis, so that two cells of one name are found here
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if (stage := self.preference_stages.get("none")) is not None:
            raise ValueError(f'the preference stage "none" must be empty, not {stage.objective}')
        if self.claims is not None:
            self.claims.check(self.cells, self.stages, list(self.evaluations), self.training.learning_rate)
        return self

    def _require_held_out_data(self) -> None:
        data = self.data
        if data is not None and data.preference is None and data.preference_eval is not None:
            raise ValueError("data.preference_eval needs data.preference")
        if self.training.eval_every and (data is None or not (data.sft_eval or data.preference_eval)):
            raise ValueError("training.eval_every needs held-out rows: data.sft_eval, data.preference_eval or both")

    def _require_rows(self) -> None:
        if not self.variants and not self.externals:
            raise ValueError("give variants (to train) or externals (made elsewhere), or both")
        if self.variants and (self.base is None or self.data is None):
            raise ValueError(f"variants need {'a base' if self.base is None else 'data'} to be trained from")
        if self.base is not None and "base" in self.externals:
            raise ValueError('an external cannot be called "base"; that is the untouched model\'s row')


def short_name(source: DataSource) -> str:
    """What boards call a data source: ``microtasks`` for ``builtin:microtasks``, a file's stem, a repository's name."""
    plain = source.source.partition("@")[0].rpartition(":")[2]
    return plain.rpartition("/")[2].partition(".")[0] or plain


def merged(settings: Settings, overrides: Strict) -> Settings:
    """``settings`` with what ``overrides`` sets; fields that ``settings`` does not have are somebody else's."""
    changed = {
        name: getattr(overrides, name)
        for name in type(overrides).model_fields
        if name in type(settings).model_fields and getattr(overrides, name) is not None
    }
    return settings.model_copy(update=changed)
