"""Recipe → plan: the rows of the board and the stages behind each, nothing run yet.

base ── tokenize ─┬─ train (sft, f-sft) ─┬─────────────────────────► generate ─► judge ─► aggregate
        reference ┘  reference, tokenize ┴─ train (dpo) ───────────►
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import models
from harness.config import DataSource, PreferenceStage, Recipe, Training, Variant, merged
from harness.data import sources
from harness.errors import ConfigError, did_you_mean
from harness.evaluation import Evaluated, Evaluator, tokenize_stage
from harness.stage import Stage, in_order

BASE_ROW = "base"


@dataclass(frozen=True)
class Row:
    """One line of the board: a checkpoint, how it came to be, and its stages on each benchmark, the primary first."""

    name: str
    description: dict[str, Any]
    model: Stage
    """The stage that converted the model this row started from."""
    evaluations: dict[str, Evaluated]
    train: list[Stage] = field(default_factory=list)

    @property
    def primary(self) -> Evaluated:
        """The evaluation that decides ranks and fills the row's plain columns."""
        return next(iter(self.evaluations.values()))

    @property
    def aggregates(self) -> list[Stage]:
        """The last stage on each benchmark."""
        return [evaluated.aggregate for evaluated in self.evaluations.values()]

    @property
    def stage_keys(self) -> dict[str, str]:
        """Kind (``train``, ``train_preference``, ``generate``, …) → ``kind/key``, of the primary benchmark."""
        keys = {"model": self.model.name}
        keys |= dict(zip(("train", "train_preference"), (stage.name for stage in self.train), strict=False))
        primary = self.primary
        return keys | {stage.kind: stage.name for stage in (primary.generate, primary.judge, primary.aggregate)}


@dataclass(frozen=True)
class Plan:
    """All rows of a recipe."""

    recipe: Recipe
    base: models.ResolvedModel
    rows: list[Row]
    prompt_counts: dict[str, int]
    """Benchmark → prompts."""

    @cached_property
    def stages(self) -> list[Stage]:
        """Every stage once, in an order in which they can run."""
        return in_order([stage for row in self.rows for stage in row.aggregates])

    def counts(self) -> Counter[str]:
        """Stages of each kind."""
        return Counter(stage.kind for stage in self.stages)


def device_kind() -> str:
    """``cuda`` or ``cpu``, asked of the driver's files so that torch is not loaded."""
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


def make_plan(recipe: Recipe, cache: Path, device: str | None = None) -> Plan:
    """Resolve the base, load the data's rows, and lay out every stage. Raises ConfigError for what cannot work."""
    base = models.resolve(recipe.base, cache)
    planner = _Planner(recipe, base, device or device_kind())
    rows = planner.rows()
    counts = {evaluator.name: len(evaluator.rows) for evaluator in planner.evaluators}
    return Plan(recipe, base, rows, counts)


class _Planner:
    def __init__(self, recipe: Recipe, base: models.ResolvedModel, device: str) -> None:
        self.recipe = recipe
        self.device = device
        self.model = Stage("convert", "base model", base.identity, execution={"fetch": base.fetch})
        training = recipe.training
        self.sft_data = self._tokenize(recipe.data.sft, "sft", training.max_length)
        self.preference_data = (
            self._tokenize(recipe.data.preference, "preference", training.max_length)
            if recipe.data.preference is not None
            else None
        )
        self.evaluators = [Evaluator(settings, recipe.statistics, device) for settings in recipe.evaluations.values()]

    def _tokenize(self, source: DataSource, form: sources.Format, max_length: int) -> Stage:
        rows = sources.load_rows(source, form)
        return tokenize_stage(source, rows, sources.content_digest(rows), form, max_length, self.model)

    def rows(self) -> list[Row]:
        """The base and every cell of variants × preference stages × seeds."""
        checkpoints: list[tuple[str, dict[str, Any], list[Stage]]] = [(BASE_ROW, {"variant": BASE_ROW}, [])]
        for seed in self.recipe.seeds:
            for variant_name, variant in self.recipe.variants.items():
                checkpoints += self._cells(seed, variant_name, variant)
        evaluations: dict[str, dict[str, Evaluated]] = {name: {} for name, _, _ in checkpoints}
        for evaluator in self.evaluators:
            prompts = evaluator.prompts(self.model)
            generated = {
                name: evaluator.generate(name, trained[-1] if trained else self.model, prompts)
                for name, _, trained in checkpoints
            }
            baseline = _baseline(evaluator, generated)
            for name, generate in generated.items():
                evaluations[name][evaluator.name] = evaluator.judged(name, generate, baseline)
        return [
            Row(name, description, self.model, evaluations[name], trained) for name, description, trained in checkpoints
        ]

    def _cells(self, seed: int, name: str, variant: Variant) -> list[tuple[str, dict[str, Any], list[Stage]]]:
        sft = self._train_sft(seed, name, variant)
        described = self._describe(variant, seed, name)
        cells = []
        for stage_name, preference in self.recipe.preference_stages.items():
            label = self._row_name(name, stage_name, seed)
            if preference is None:
                cells.append((label, {**described, "preference_stage": stage_name}, [sft]))
                continue
            dpo = self._train_preference(seed, label, preference, sft)
            more = {"preference_stage": stage_name, "dpo_beta": preference.beta}
            cells.append((label, {**described, **more}, [sft, dpo]))
        return cells

    def _row_name(self, variant: str, stage: str, seed: int) -> str:
        name = variant if self.recipe.preference_stages[stage] is None else f"{variant}+{stage}"
        return name if len(self.recipe.seeds) == 1 else f"{name}@{seed}"

    def _describe(self, variant: Variant, seed: int, name: str) -> dict[str, Any]:
        training = merged(self.recipe.training, variant)
        shaped = ("divergence", "form", "beta", "curvature")
        objective = variant.settings()
        return {
            "variant": name,
            "objective": objective["name"],
            **{key: objective.get(key) for key in shaped},
            "learning_rate": training.learning_rate,
            "weight_dtype": training.weight_dtype,
            "seed": seed,
        }

    def _train_sft(self, seed: int, name: str, variant: Variant) -> Stage:
        inputs = {"model": self.model, "data": self.sft_data}
        if variant.objective == "f_sft":
            inputs["reference"] = self._reference(self.model, self.sft_data, "base on demonstrations")
        training = merged(self.recipe.training, variant)
        return self._train(name, seed, variant.settings(), training, inputs)

    def _train_preference(self, seed: int, name: str, preference: PreferenceStage, sft: Stage) -> Stage:
        assert self.preference_data is not None  # Recipe refuses a preference stage without its data
        reference = self._reference(sft, self.preference_data, f"{sft.label} on pairs")
        inputs = {"model": sft, "data": self.preference_data, "reference": reference}
        training = merged(self.recipe.training, preference)
        return self._train(name, seed, preference.settings(), training, inputs)

    def _train(
        self, label: str, seed: int, objective: dict[str, Any], training: Training, inputs: dict[str, Stage]
    ) -> Stage:
        settings = training.model_dump(mode="json", exclude={"max_length", "checkpoint_every"})
        identity = {"objective": objective, **settings, "seed": seed, "device": self.device}
        execution = {"checkpoint_every": training.checkpoint_every}
        return Stage("train", label, identity, inputs, execution)

    def _reference(self, model: Stage, data: Stage, label: str) -> Stage:
        training = self.recipe.training
        identity = {
            "autocast": training.autocast,
            "max_tokens_per_microbatch": training.max_tokens_per_microbatch,
            "device": self.device,
        }
        return Stage("reference", label, identity, {"model": model, "data": data})


def _baseline(evaluator: Evaluator, generated: dict[str, Stage]) -> Stage:
    """The completions that every row of the benchmark is compared with. Raises ConfigError for an unknown row."""
    name = evaluator.settings.judge.baseline
    if name not in generated:
        raise ConfigError(
            f'judge.baseline: there is no row "{name}".{did_you_mean(name, generated)}',
            f"rows: {', '.join(generated)}",
        )
    return generated[name]
