"""``plan --cost``: stages, tokens, GPU-hours on a named GPU and judge money, from a recipe's declared assumptions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any

from harness.config import Evaluation, Recipe
from harness.cost import memory, work
from harness.cost.gpus import Gpu
from harness.cost.settings import Assumptions, Prompts
from harness.cost.sketch import sketch
from harness.errors import ConfigError
from harness.plan import Plan

DEFAULT_MFU = 0.4
SERVED_AT_ONCE = 64  # mean sequences of the longest benchmark that the cache is sized for


def make(recipe: Recipe, gpu: Gpu, *, mfu: float = DEFAULT_MFU, price: float | None = None) -> dict[str, Any]:
    """The estimate as data. Raises ConfigError for a recipe that declares no assumptions, or not all it needs."""
    assumptions = check(recipe)
    plan = sketch(recipe)
    prompts = _prompts(plan, assumptions)
    kinds = _kinds(plan, assumptions, recipe, prompts, gpu, mfu)
    hours = sum(line["gpu_hours"] for line in kinds)
    judges = [
        _judge(evaluation, assumptions.benchmarks[name], len(plan.rows))
        for name, evaluation in recipe.evaluations.items()
    ]
    return {
        "recipe": recipe.name,
        "rows": len(plan.rows),
        "gpu": gpu.name,
        "kinds": kinds,
        "gpu_hours": hours,
        "gpu_money": None if price is None else hours * price,
        "judges": judges,
        "judge_money": _sum([judge["money"] for judge in judges]),
        "memory": _memory(recipe, assumptions, gpu),
        "assumptions": _assumed(assumptions, gpu, mfu, price),
    }


def check(recipe: Recipe) -> Assumptions:
    """The recipe's assumptions, complete for what it runs."""
    found = recipe.assumptions
    if found is None:
        raise ConfigError(
            f"{recipe.name} declares no assumptions, and --cost loads neither model nor data to find out.",
            "add an assumptions block; bridgebench recipes show paper-mistral-7b   has one",
        )
    missing = [name for name in recipe.evaluations if name not in found.benchmarks]
    if missing or (found.preference is None and any(recipe.stages.values())):
        what = f"benchmarks.{missing[0]}" if missing else "preference"
        raise ConfigError(f"{recipe.name}: assumptions.{what} is missing.", "declare its size and mean lengths")
    return found


def _prompts(plan: Plan, assumptions: Assumptions) -> dict[str, Prompts]:
    """Key of a prompts stage → what was assumed of its benchmark."""
    return {
        evaluated.generate.inputs["prompts"].key: assumptions.benchmarks[name]
        for row in plan.rows
        for name, evaluated in row.evaluations.items()
    }


def _kinds(
    plan: Plan, assumptions: Assumptions, recipe: Recipe, prompts: dict[str, Prompts], gpu: Gpu, mfu: float
) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    hours: Counter[str] = Counter()
    for stage in plan.stages:
        kind = _name(stage.kind, stage.identity)
        counts[kind] += 1
        found = work.of(stage, assumptions, recipe.training.max_length, prompts)
        if found is not None:
            share = assumptions.decode_utilisation if found.decodes else mfu
            tokens[kind] += found.tokens  # type: ignore[assignment]
            hours[kind] += found.operations / (share * gpu.peak) / 3600  # type: ignore[assignment]
    return [
        {"kind": kind, "stages": counts[kind], "tokens": float(tokens[kind]), "gpu_hours": float(hours[kind])}
        for kind in counts
    ]


def _name(kind: str, identity: dict[str, Any]) -> str:
    return f"train {identity['objective']['name']}" if kind == "train" else kind


def _judge(evaluation: Evaluation, prompts: Prompts, rows: int) -> dict[str, Any]:
    """What the judge of one benchmark costs for every row; a judge that asks nobody is free."""
    endpoint = getattr(evaluation.judge, "endpoint_settings", None)
    verdicts = rows * prompts.prompts * prompts.turns * prompts.verdicts
    read, written = (verdicts * each for each in (prompts.judge_prompt_tokens, prompts.judge_completion_tokens))
    price = endpoint.price if endpoint is not None else None
    return {
        "benchmark": evaluation.name,
        "judge": evaluation.judge.name,
        "verdicts": verdicts,
        "prompt_tokens": read if endpoint is not None else 0.0,
        "completion_tokens": written if endpoint is not None else 0.0,
        "money": 0.0 if endpoint is None else None if price is None else price.cost(int(read), int(written)),
        "currency": price.currency if price is not None else None,
        "price": price.model_dump() if price is not None else None,
    }


def _sum(values: list[float | None]) -> float | None:
    return None if any(value is None for value in values) else sum(value or 0.0 for value in values)


def _declared(recipe: Recipe) -> list[Prompts]:
    return [check(recipe).benchmarks[name] for name in recipe.evaluations]


def _memory(recipe: Recipe, assumptions: Assumptions, gpu: Gpu) -> dict[str, Any]:
    training = recipe.training
    longest = max(prompts.turns * (prompts.prompt_tokens + prompts.completion_tokens) for prompts in _declared(recipe))
    served = math.ceil(SERVED_AT_ONCE * longest)
    return {
        "training": asdict(
            memory.training(assumptions.model, training.weight_dtype, training.max_tokens_per_microbatch, gpu)
        ),
        "serving": asdict(memory.serving(assumptions.model, "bfloat16", served, gpu)),
        "weight_dtype": training.weight_dtype,
        "microbatch_tokens": training.max_tokens_per_microbatch,
    }


def _assumed(assumptions: Assumptions, gpu: Gpu, mfu: float, price: float | None) -> list[str]:
    shape = assumptions.model
    return [
        f"{shape.parameters:.3g} parameters; 6 operations per parameter and trained token, 2 forward",
        f"{gpu.name}: {gpu.peak / 1e12:.0f} TFLOP/s peak (dense bf16), {gpu.memory / 1e9:.0f} GB, at most "
        f"{memory.USABLE:.0%} of it used",
        f"training reaches {mfu:.0%} of the peak (--mfu), generation {assumptions.decode_utilisation:.0%}",
        f"demonstrations: {assumptions.sft.rows:,} rows of {assumptions.sft.tokens:g} tokens on average",
        *(
            [f"pairs: {assumptions.preference.rows:,} of {assumptions.preference.tokens:g} tokens, both sides together"]
            if assumptions.preference
            else []
        ),
        *(_benchmark(name, prompts) for name, prompts in assumptions.benchmarks.items()),
        "no retries, no idle time, no time to load weights, to save checkpoints or to measure held-out loss",
        f"one GPU-hour costs {price:g} (--gpu-price)" if price is not None else "no price for a GPU-hour (--gpu-price)",
        *assumptions.sources,
    ]


def _benchmark(name: str, prompts: Prompts) -> str:
    text = f"{name}: {prompts.prompts} prompts"
    text += f" of {prompts.turns} turns" if prompts.turns > 1 else ""
    text += f", {prompts.prompt_tokens:g} tokens in, {prompts.completion_tokens:g} out; "
    return text + (
        f"{prompts.verdicts} verdict{'s' * (prompts.verdicts > 1)} each, {prompts.judge_prompt_tokens:g} tokens in, "
        f"{prompts.judge_completion_tokens:g} out"
    )
