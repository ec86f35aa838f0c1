"""The recipe's graph without its model and data: every reference replaced by a small built-in one, nothing loaded.

Stages that the recipe shares are shared here too, since their settings decide that and stay as they are; keys differ.
"""

from __future__ import annotations

from pathlib import Path

from harness.config import Benchmark, Data, DataSource, Recipe
from harness.external import ModelReference
from harness.plan import Plan, make_plan

BUILTIN = "builtin:microtasks"


def sketch(recipe: Recipe) -> Plan:
    """The plan of ``recipe`` on a GPU with stand-ins for base, data sets and prompts."""
    stand_ins = {
        "base": ModelReference(reference="random:tiny-llama", sha256=None),
        "data": Data(sft=_source("train"), preference=_source("preference")),
        "benchmark": None,
        "benchmarks": {
            name: Benchmark(source=BUILTIN, split="eval", rows=5, seed=number, generate=evaluation.benchmark.generate)
            for number, (name, evaluation) in enumerate(recipe.evaluations.items())
        },
        "judge": type(recipe).model_fields["judge"].get_default(),
        "externals": {},
        "claims": None,
    }
    return make_plan(recipe.model_copy(update=stand_ins), Path(), device="cuda")


def _source(split: str) -> DataSource:
    return DataSource(source=BUILTIN, split=split, rows=5)
