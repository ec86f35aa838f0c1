"""Recipe → plan: the rows of the board and the stages behind each, nothing run yet.

base ── tokenize ─┬─ train (sft, f-sft) ─┬─────────────────────────► generate ─► judge ─► aggregate
        reference ┘  reference, tokenize ┴─ train (dpo) ───────────►
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from harness import files, models
from harness.config import DataSource, PreferenceStage, Recipe, Training, Variant, merged
from harness.data import sources
from harness.errors import ConfigError, did_you_mean
from harness.judges import judge_identity
from harness.stage import Stage, in_order

BASE_ROW = "base"


@dataclass(frozen=True)
class Row:
    """One line of the board: a checkpoint, how it came to be, and its last stage."""

    name: str
    description: dict[str, Any]
    checkpoint: Stage
    generate: Stage
    judge: Stage
    aggregate: Stage
    train: list[Stage] = field(default_factory=list)

    @property
    def stage_keys(self) -> dict[str, str]:
        """Kind (``train``, ``train_preference``, ``generate``, …) → ``kind/key``."""
        keys = {"model": in_order([self.checkpoint])[0].name}
        keys |= dict(zip(("train", "train_preference"), (stage.name for stage in self.train), strict=False))
        return keys | {stage.kind: stage.name for stage in (self.generate, self.judge, self.aggregate)}


@dataclass(frozen=True)
class Plan:
    """All rows of a recipe."""

    recipe: Recipe
    base: models.ResolvedModel
    rows: list[Row]
    prompts: Stage

    @cached_property
    def stages(self) -> list[Stage]:
        """Every stage once, in an order in which they can run."""
        return in_order([row.aggregate for row in self.rows])

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
    known = [row.name for row in rows]
    if recipe.judge.baseline not in known:
        name = recipe.judge.baseline
        raise ConfigError(
            f'judge.baseline: there is no row "{name}".{did_you_mean(name, known)}',
            f"rows: {', '.join(known)}",
        )
    return Plan(recipe, base, rows, planner.prompts)


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
        self.prompts = self._tokenize(recipe.benchmark, "prompts", self._prompt_limit())

    def _prompt_limit(self) -> int:
        """Tokens a prompt may have so that a whole completion still fits."""
        generate = self.recipe.generate
        limit = generate.max_model_len - generate.max_new_tokens
        if limit < 1:
            raise ConfigError(
                f"generate.max_new_tokens ({generate.max_new_tokens}) leaves no room for a prompt in "
                f"generate.max_model_len ({generate.max_model_len})."
            )
        return limit

    def _tokenize(self, source: DataSource, form: sources.Format, max_length: int) -> Stage:
        rows = sources.load_rows(source, form)
        identity = {"rows_sha256": sources.content_digest(rows), "format": form, "max_length": max_length}
        return Stage(
            "tokenize",
            f"{source.source} {source.split}",
            identity,
            {"model": self.model},
            execution={"rows": len(rows)},
            prepare=partial(_write_rows, rows),
        )

    def rows(self) -> list[Row]:
        """The base and every cell of variants × preference stages × seeds."""
        checkpoints: list[tuple[str, dict[str, Any], list[Stage]]] = [(BASE_ROW, {"variant": BASE_ROW}, [])]
        for seed in self.recipe.seeds:
            for variant_name, variant in self.recipe.variants.items():
                checkpoints += self._cells(seed, variant_name, variant)
        generated = {
            name: self._generate(name, trained[-1] if trained else self.model) for name, _, trained in checkpoints
        }
        baseline = generated.get(self.recipe.judge.baseline, generated[BASE_ROW])
        return [
            self._row(name, description, trained, generated[name], baseline)
            for name, description, trained in checkpoints
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

    def _generate(self, label: str, checkpoint: Stage) -> Stage:
        settings = self.recipe.generate
        sampling = settings.model_dump(include={"max_new_tokens", "temperature", "top_p", "seed"})
        identity = {
            "backend": settings.backend,
            "dtype": _serving_dtype(settings.dtype, self.device),
            "device": self.device,
            "chunk_size": settings.chunk_size,
            "max_model_len": settings.max_model_len,
            "sampling": sampling,
        }
        execution = {"kv_cache_gib": settings.kv_cache_gib}
        return Stage("generate", label, identity, {"model": checkpoint, "prompts": self.prompts}, execution)

    def _row(
        self, name: str, description: dict[str, Any], trained: list[Stage], generate: Stage, baseline: Stage
    ) -> Row:
        names = {"model": name, "baseline": self.recipe.judge.baseline}
        inputs = {"completions": generate, "baseline": baseline, "prompts": self.prompts}
        judge = Stage("judge", name, judge_identity(self.recipe.judge) | names, inputs)
        statistics = self.recipe.statistics.model_dump()
        aggregate = Stage("aggregate", name, statistics, {"verdicts": judge})
        checkpoint = trained[-1] if trained else self.model
        return Row(name, description, checkpoint, generate, judge, aggregate, trained)


def _serving_dtype(dtype: str, device: str) -> str:
    if dtype == "auto":
        return "bfloat16" if device == "cuda" else "float32"
    if dtype == "bfloat16" and device == "cpu":
        raise ConfigError(
            "generate.dtype: bfloat16 is not served on a CPU: the output then depends on how prompts are batched, "
            "and a weight swap cannot be proven.",
            "use generate.dtype: auto",
        )
    return dtype


def _write_rows(rows: list[dict[str, Any]], directory: Path) -> None:
    files.write_jsonl(directory / "rows.jsonl", rows)
