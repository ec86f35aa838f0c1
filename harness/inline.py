"""The stages that run inside the driver: judge (by rules) and aggregate. Seconds of pure Python and numpy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness import files, provenance, specs
from harness.stage import Stage
from harness.store import Store, write_manifest

# the verdicts, and the same in AlpacaEval's format
JUDGE_FILES = ["verdicts.jsonl", "model_outputs.json", "annotations.json"]


Outcome = tuple[list[str], dict[str, Any]]


def run(stage: Stage, store: Store, recipe: str) -> None:
    """Run a judge or aggregate stage and write its manifest. Raises BridgebenchError."""
    started, clock = provenance.now(), time.monotonic()
    out = specs.directory(store, stage)
    names, summary = {"judge": _judge, "aggregate": _aggregate}[stage.kind](stage, store, out)
    write_manifest(out, specs.record(stage, recipe), names, summary, started, time.monotonic() - clock)


def _judge(stage: Stage, store: Store, out: Path) -> Outcome:
    from harness.adapters import alpaca_eval
    from harness.judges import rules

    model, baseline_name = stage.identity["model"], stage.identity["baseline"]
    prompts = files.read_jsonl(specs.directory(store, stage.inputs["prompts"]) / "rows.jsonl")
    own, other = (_completions(stage.inputs[role], store) for role in ("completions", "baseline"))
    judged = rules.judge(prompts, own, other, model=model, baseline_name=baseline_name, judge_key=stage.key)
    verdicts = list(judged)
    files.write_jsonl(out / "verdicts.jsonl", verdicts)
    alpaca_eval.write_model_outputs(own, out / "model_outputs.json", generator=model)
    alpaca_eval.write_annotations(verdicts, own, other, out / "annotations.json")
    missing = sum(verdict["preference"] is None for verdict in verdicts)
    return JUDGE_FILES, {"verdicts": len(verdicts), "missing": missing}


def _completions(stage: Stage, store: Store) -> list[dict[str, Any]]:
    return files.read_jsonl(completions_path(stage, store))


def completions_path(stage: Stage, store: Store) -> Path:
    """``completions.jsonl`` of a generate stage."""
    return specs.directory(store, stage) / "completions.jsonl"


def _aggregate(stage: Stage, store: Store, out: Path) -> Outcome:
    from harness.aggregate import estimate

    verdicts = files.read_jsonl(specs.directory(store, stage.inputs["verdicts"]) / "verdicts.jsonl")
    estimates = estimate(verdicts, seed=stage.identity["seed"], draws=stage.identity["bootstrap_draws"])
    files.write_json(out / "estimates.json", estimates)
    return ["estimates.json"], {"n": estimates["n"], "n_missing": estimates["n_missing"]}
