"""The stages that run inside the driver: prompts, answers of endpoints and stored ones, judge, aggregate, analysis."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import files, provenance, specs
from harness.stage import Stage
from harness.store import Store, write_manifest

# the verdicts, and the same in AlpacaEval's format
JUDGE_FILES = ["verdicts.jsonl", "model_outputs.json", "annotations.json"]


Outcome = tuple[list[str], dict[str, Any]]
OnEvent = Callable[[dict[str, Any]], None]


def run(stage: Stage, store: Store, recipe: str, on_event: OnEvent = lambda event: None) -> None:
    """Run one of the driver's own stages and write its manifest. Raises BridgebenchError."""
    started, clock = provenance.now(), time.monotonic()
    out = specs.directory(store, stage)
    if stage.kind == "generate":
        names, summary = _generate(stage, store, out, on_event)
    elif stage.kind == "judge" and "judge" in stage.execution:
        from harness.judges import stage as judges

        names, summary = judges.run(stage, store, recipe, out, on_event)
    else:
        kinds = {"prompts": _prompts, "judge": _judge, "aggregate": _aggregate, "analysis": _analysis}
        names, summary = kinds[stage.kind](stage, store, out)
    write_manifest(out, specs.record(stage, recipe), names, summary, started, time.monotonic() - clock)
    store.tidy(stage.kind, stage.key)  # not before: answers that were paid for are kept until they count


def _prompts(stage: Stage, store: Store, out: Path) -> Outcome:
    return ["rows.jsonl"], {"prompts": stage.execution["rows"]}


def _generate(stage: Stage, store: Store, out: Path, on_event: OnEvent) -> Outcome:
    from harness.backends import openai_endpoint, precomputed

    prompts = files.read_jsonl(specs.directory(store, stage.inputs["prompts"]) / "rows.jsonl")
    if stage.identity["backend"] == "precomputed":
        return ["completions.jsonl"], precomputed.complete(stage, prompts, out)

    def on_progress(done: int, total: int) -> None:
        on_event({"event": "progress", "done": done, "total": total, "unit": "prompt"})

    ledger = store.root / "spent" / f"{stage.label}.jsonl"
    return ["completions.jsonl"], openai_endpoint.complete(stage, prompts, out, ledger, on_progress)


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


def _analysis(stage: Stage, store: Store, out: Path) -> Outcome:
    from harness.analysis import estimation

    return estimation.run(stage, store, out)


def _aggregate(stage: Stage, store: Store, out: Path) -> Outcome:
    from harness import estimating

    verdicts = files.read_jsonl(specs.directory(store, stage.inputs["verdicts"]) / "verdicts.jsonl")
    estimates = estimating.of_row(verdicts, stage.identity)
    files.write_json(out / "estimates.json", estimates)
    return ["estimates.json"], {"n": estimates["n"], "n_missing": estimates["n_missing"]}
