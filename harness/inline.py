"""The stages that run inside the driver: judge (by rules) and aggregate. Seconds of pure Python and numpy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness import files, provenance, specs
from harness.stage import Stage
from harness.store import Store, write_manifest


def run(stage: Stage, store: Store, recipe: str) -> None:
    """Run a judge or aggregate stage and write its manifest. Raises BridgebenchError."""
    started, clock = provenance.now(), time.monotonic()
    out = specs.directory(store, stage)
    name, content, summary = {"judge": _judge, "aggregate": _aggregate}[stage.kind](stage, store)
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        files.write_jsonl(out / name, content)
    else:
        files.write_json(out / name, content)
    write_manifest(out, specs.record(stage, recipe), [name], summary, started, time.monotonic() - clock)


def _judge(stage: Stage, store: Store) -> tuple[str, Any, dict[str, Any]]:
    from harness.judges import rules

    verdicts = list(
        rules.judge(
            files.read_jsonl(specs.directory(store, stage.inputs["prompts"]) / "rows.jsonl"),
            _completions(stage.inputs["completions"], store),
            _completions(stage.inputs["baseline"], store),
            model=stage.identity["model"],
            baseline_name=stage.identity["baseline"],
            judge_key=stage.key,
        )
    )
    missing = sum(verdict["preference"] is None for verdict in verdicts)
    return "verdicts.jsonl", verdicts, {"verdicts": len(verdicts), "missing": missing}


def _completions(stage: Stage, store: Store) -> list[dict[str, Any]]:
    return files.read_jsonl(completions_path(stage, store))


def completions_path(stage: Stage, store: Store) -> Path:
    """``completions.jsonl`` of a generate stage."""
    return specs.directory(store, stage) / "completions.jsonl"


def _aggregate(stage: Stage, store: Store) -> tuple[str, Any, dict[str, Any]]:
    from harness.aggregate import estimate

    verdicts = files.read_jsonl(specs.directory(store, stage.inputs["verdicts"]) / "verdicts.jsonl")
    estimates = estimate(verdicts, seed=stage.identity["seed"], draws=stage.identity["bootstrap_draws"])
    return "estimates.json", estimates, {"n": estimates["n"], "n_missing": estimates["n_missing"]}
