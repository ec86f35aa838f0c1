"""Recipe → plan: the rows of the board and the stages behind each, nothing run yet.

base ── tokenize ─┬─ train (sft, f-sft) ─┬─────────────────────────► generate ─► judge ─► aggregate
        reference ┘  reference, tokenize ┴─ train (dpo) ───────────►

Held-out rows, where a recipe names some, are tokenised and scored like those that are trained on, and read by the same
train stages. They change no weight, but they are part of the key: a stage's files include the losses measured on them.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from harness import inspection, models
from harness.config import Data, DataSource, PreferenceStage, Recipe, Training, Variant, merged
from harness.data import held_out, sources
from harness.errors import BridgebenchError, ConfigError, did_you_mean
from harness.evaluation import Evaluated, Evaluator
from harness.external_rows import Candidate, candidate, convert_stage
from harness.inspection import Requirements
from harness.judges.settings import REFERENCE
from harness.stage import Stage, in_order

BASE_ROW = "base"
EXECUTION_ONLY = {"checkpoint_every", "tensorboard"}
OPTIONAL = {"gradient_checkpointing", "compile", "lora", "eval_every"}


@dataclass(frozen=True)
class Row:
    """One line of the board: a checkpoint, how it came to be, and its stages on each benchmark, the primary first."""

    name: str
    description: dict[str, Any]
    model: Stage | None
    """The stage that converted the model this row started from; none for an endpoint or stored outputs."""
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
        keys = {"model": self.model.name} if self.model is not None else {}
        keys |= dict(zip(("train", "train_preference"), (stage.name for stage in self.train), strict=False))
        primary = self.primary
        return keys | {stage.kind: stage.name for stage in (primary.generate, primary.judge, primary.aggregate)}


@dataclass(frozen=True)
class Plan:
    """All rows of a recipe."""

    recipe: Recipe
    base: models.ResolvedModel | None
    rows: list[Row]
    prompt_counts: dict[str, int]
    """Benchmark → number of prompts."""
    prompts: dict[str, list[dict[str, Any]]]
    """Benchmark → its prompts' rows."""
    refused: dict[str, BridgebenchError] = field(default_factory=dict)
    """External rows that cannot be laid out, and why; the others are not held up by them."""

    @cached_property
    def stages(self) -> list[Stage]:
        """Every stage once, in an order in which they can run."""
        return in_order([stage for row in self.rows for stage in row.aggregates])

    def counts(self) -> Counter[str]:
        """Stages of each kind."""
        return Counter(stage.kind for stage in self.stages)


def device_kind() -> str:
    """``cuda`` or ``cpu``, asked of the driver's files so that torch is not loaded; BRIDGEBENCH_DEVICE says it on a
    machine that only plans what others run.
    """
    told = os.environ.get("BRIDGEBENCH_DEVICE", "")
    if told not in ("", "cpu", "cuda"):
        raise ConfigError(f'BRIDGEBENCH_DEVICE is "{told}".', "it may be cpu or cuda")
    if told:
        return told
    return "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"


def make_plan(recipe: Recipe, cache: Path, device: str | None = None) -> Plan:
    """Resolve the base, load the data's rows, and lay out every stage. Raises ConfigError for what cannot work."""
    base = models.resolve(recipe.base, cache) if recipe.base is not None else None
    planner = _Planner(recipe, base, cache, device or device_kind())
    rows = planner.rows()
    counts = {evaluator.name: len(evaluator.rows) for evaluator in planner.evaluators}
    prompts = {evaluator.name: evaluator.rows for evaluator in planner.evaluators}
    return Plan(recipe, base, rows, counts, prompts, planner.refused)


class _Planner:
    def __init__(self, recipe: Recipe, base: models.ResolvedModel | None, cache: Path, device: str) -> None:
        self.recipe, self.cache, self.device = recipe, cache, device
        evaluations = recipe.evaluations.values()
        self.evaluators = [Evaluator(settings, recipe.statistics, device, cache) for settings in evaluations]
        self.requirements = Requirements(
            backends=tuple(sorted({evaluator.settings.generate.backend for evaluator in self.evaluators})),
            conversations=inspection.shapes([row["messages"] for each in self.evaluators for row in each.rows]),
        )
        self.refused: dict[str, BridgebenchError] = {}
        if base is not None:
            self.model = convert_stage(base, "base model", self.requirements)
        if recipe.data is not None and recipe.variants:
            self._read(recipe.data, recipe.training.max_length)

    def _read(self, data: Data, max_length: int) -> None:
        self.sft_data = self._tokenize(data.sft, "sft", max_length)
        self.preference_data = (
            self._tokenize(data.preference, "preference", max_length) if data.preference is not None else None
        )
        self.eval_data = {form: self._tokenize(source, form, max_length) for form, source in held_out.of(data).items()}

    def _tokenize(self, source: DataSource, form: sources.Format, max_length: int) -> Stage:
        found = sources.survey(source, form)
        identity = {"rows_sha256": found.digest, "format": form, "max_length": max_length}
        if form == "sft":
            identity["loss_on"] = self.recipe.training.loss_on
        return Stage(
            "tokenize",
            f"{source.source} {source.split}",
            identity,
            {"model": self.model},
            execution={"rows": found.rows},
            prepare=partial(_write_rows, source, form, found),
        )

    def rows(self) -> list[Row]:
        """The base, every cell of variants × preference stages × seeds, and what comes from outside."""
        candidates = self._candidates()
        evaluations: dict[str, dict[str, Evaluated]] = {each.name: {} for each in candidates}
        for evaluator in self.evaluators:
            generated = {each.name: each.answers(evaluator) for each in candidates}
            baseline = self._baseline(evaluator, generated)
            for name, generate in generated.items():
                evaluations[name][evaluator.name] = evaluator.judged(name, generate, baseline)
        return [Row(each.name, each.description, each.model, evaluations[each.name], each.train) for each in candidates]

    def _candidates(self) -> list[Candidate]:
        own: list[tuple[str, dict[str, Any], list[Stage]]] = []
        if self.recipe.base is not None:
            own.append((BASE_ROW, {"variant": BASE_ROW}, []))
        for seed in self.recipe.seeds:
            for variant_name, variant in self.recipe.cells.items():
                own += self._cells(seed, variant_name, variant)
        found = [self._own(*row) for row in own]
        return found + self._from_outside({row.name for row in found})

    def _own(self, name: str, description: dict[str, Any], trained: list[Stage]) -> Candidate:
        checkpoint = trained[-1] if trained else self.model

        def answers(evaluator: Evaluator) -> Stage:
            return evaluator.generate(name, checkpoint, evaluator.prompts(self.model))

        return Candidate(name, description, answers, self.model, trained)

    def _from_outside(self, taken: set[str]) -> list[Candidate]:
        found = []
        for name, external in self.recipe.externals.items():
            if name in taken:
                raise ConfigError(f'there are two rows called "{name}".', "give the external another name: NAME=MODEL")
            try:
                found.append(candidate(name, external, self.cache, self.requirements))
            except BridgebenchError as error:
                self.refused[name] = error
        return found

    def _baseline(self, evaluator: Evaluator, generated: dict[str, Stage]) -> Stage | None:
        """The completions that every row of the benchmark is compared with; None if its judge rates each row alone.

        Raises ConfigError for an unknown row.
        """
        name = evaluator.settings.judge.baseline
        if name is None:
            return None
        if name == REFERENCE and name not in generated:
            return evaluator.reference()
        if name in self.refused:
            raise self.refused[name]
        if name not in generated:
            raise ConfigError(
                f'judge.baseline: there is no row "{name}".{did_you_mean(name, generated)}',
                f"rows: {', '.join(generated) or 'none'}; {REFERENCE} stands for the benchmark's own outputs",
            )
        return generated[name]

    def _cells(self, seed: int, name: str, variant: Variant) -> list[tuple[str, dict[str, Any], list[Stage]]]:
        sft = self._train_sft(seed, name, variant)
        described = self._describe(variant, seed, name)
        cells = []
        for stage_name, preference in self.recipe.stages.items():
            label = self._row_name(name, stage_name, seed)
            if preference is None:
                cells.append((label, {**described, "preference_stage": stage_name}, [sft]))
                continue
            dpo = self._train_preference(seed, label, preference, sft)
            more: dict[str, Any] = {"preference_stage": stage_name, "dpo_beta": preference.beta, **_f_dpo(preference)}
            if stage_name not in self.recipe.preference_stages:  # a swept stage: its other axis must be told too
                more["dpo_learning_rate"] = merged(self.recipe.training, preference).learning_rate
            cells.append((label, {**described, **more}, [sft, dpo]))
        return cells

    def _row_name(self, variant: str, stage: str, seed: int) -> str:
        name = variant if self.recipe.stages[stage] is None else f"{variant}+{stage}"
        return name if len(self.recipe.seeds) == 1 else f"{name}@{seed}"

    def _describe(self, variant: Variant, seed: int, name: str) -> dict[str, Any]:
        training = merged(self.recipe.training, variant)
        shaped = ("divergence", "form", "beta", "curvature")
        objective = variant.settings()
        return {
            "variant": name,
            "objective": objective["name"],
            **{key: objective.get(key) for key in shaped},
            **{key: objective[key] for key in ("gauge", "alpha") if key in objective},
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
        settings = training.model_dump(mode="json", exclude={"max_length", "loss_on", *EXECUTION_ONLY})
        inputs = inputs | self._eval_inputs(inputs)
        if "eval_data" not in inputs:
            settings["eval_every"] = None
        # settings that came later stand in the identity only where they are used: older results keep their keys
        settings = {name: value for name, value in settings.items() if name not in OPTIONAL or value}
        identity = {"objective": objective, **settings, "seed": seed, "device": self.device}
        execution = training.model_dump(mode="json", include={"checkpoint_every"})
        if training.tensorboard:
            execution["tensorboard"] = True
        return Stage("train", label, identity, inputs, execution)

    def _eval_inputs(self, inputs: dict[str, Stage]) -> dict[str, Stage]:
        """The held-out rows of the kind that is trained on, with their reference if the objective has one."""
        data = self.eval_data.get(inputs["data"].identity["format"])
        if data is None:
            return {}
        if "reference" not in inputs:
            return {"eval_data": data}
        model = inputs["model"]
        return {"eval_data": data, "eval_reference": self._reference(model, data, f"{model.label} on held-out rows")}

    def _reference(self, model: Stage, data: Stage, label: str) -> Stage:
        training = self.recipe.training
        identity = {
            "autocast": training.autocast,
            "max_tokens_per_microbatch": training.max_tokens_per_microbatch,
            "device": self.device,
            **({"compile": True} if training.compile else {}),
        }
        return Stage("reference", label, identity, {"model": model, "data": data})


def _f_dpo(preference: PreferenceStage) -> dict[str, Any]:
    """What a row says of a preference stage that is not plain DPO."""
    shaped = preference.settings()
    return {f"dpo_{name}": shaped[name] for name in ("divergence", "alpha") if name in shaped}


def _write_rows(source: DataSource, form: sources.Format, found: sources.Survey, directory: Path) -> None:
    sources.write_rows(source, form, found, directory / "rows.jsonl")
