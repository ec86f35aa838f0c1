"""Time and memory of ``bridgebench plan`` and ``status`` on a large matrix, with an empty and with a finished store.

    python benchmarks/planning.py [--cells 10000] [--no-write]

Each figure is the best of three runs of the real command in a process of its own, start of Python included; memory is
the peak resident size of that process. The finished store holds a manifest for every stage and nothing else. Writes
``benchmarks/results/planning.json``. About two minutes and 300 MB of disk for 10,000 cells.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "planning.json"
TARGET = {"seconds": 3.0, "megabytes": 500}
REPEATS = 3
RECIPE = """\
name: planning
title: A matrix of {cells} cells
base: random:tiny-llama
data:
  sft: {{source: "builtin:microtasks", split: train, rows: 32}}
  preference: {{source: "builtin:microtasks", split: preference, rows: 16}}
benchmark: {{source: "builtin:microtasks", split: eval, rows: 24}}
variants:
  f: {{objective: f_sft, divergence: pearson_chi2, sweep: {{learning_rate: {rates}, beta: {betas}}}}}
preference_stages:
  none:
  dpo: {{objective: dpo, sweep: {{beta: {dpo_betas}}}}}
seeds: {seeds}
"""


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000, help="a multiple of 100")
    parser.add_argument("--no-write", action="store_true", help="only print")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(Path(temporary), arguments.cells)
    print(json.dumps(found, indent=2))
    if not arguments.no_write:
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


def measure(folder: Path, cells: int) -> dict[str, Any]:
    """Every figure for a matrix of ``cells`` trained rows."""
    recipe = write_recipe(folder, cells)
    figures = {f"empty store: {verb}": timed(folder, verb, str(recipe)) for verb in ("plan", "status")}
    stages = finish(folder, recipe)
    figures |= {f"finished store: {verb}": timed(folder, verb, str(recipe)) for verb in ("plan", "status")}
    figures["finished store: status of everything"] = timed(folder, "status")
    return {
        "cells": cells,
        "stages": stages,
        "target": TARGET,
        "commands": figures,
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }


def write_recipe(folder: Path, cells: int) -> Path:
    """A recipe with ``cells`` trained rows: learning rates, betas, DPO betas (ten of each with "none") and seeds."""
    path = folder / "planning.yaml"
    axis = range(1, 11)
    text = RECIPE.format(
        cells=cells,
        rates=[float(f"{n}e-5") for n in axis],
        betas=[n / 10 for n in axis],
        dpo_betas=[n / 100 for n in range(1, 10)],
        seeds=list(range(cells // 1000 or 1)),
    )
    path.write_text(text)
    return path


def timed(folder: Path, *arguments: str) -> dict[str, float]:
    """Best wall seconds of `REPEATS` runs and the largest peak memory in MB."""
    seconds, peaks = [], []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "--results", str(folder / "results"), *arguments, "--json"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds.append(time.perf_counter() - begin)
        if process.returncode:
            raise SystemExit(f"bridgebench {' '.join(arguments)} ended with {process.returncode}")
        peaks.append(usage.ru_maxrss / 1024)
    return {"seconds": round(min(seconds), 2), "megabytes": round(max(peaks), 1)}


def finish(folder: Path, recipe: Path) -> int:
    """Give every stage of the recipe a manifest; returns their number."""
    sys.path.insert(0, str(ROOT))
    from harness import recipe_file, specs
    from harness.plan import make_plan
    from harness.store import MANIFEST, Store

    store = Store(folder / "results")
    plan = make_plan(recipe_file.load(str(recipe)), store.root / "downloads")
    for stage in plan.stages:
        directory = specs.directory(store, stage)
        directory.mkdir(parents=True)
        record = {**specs.record(stage, plan.recipe.name), "files": {}, "summary": {}}
        (directory / MANIFEST).write_text(json.dumps(record, indent=2))
    return len(plan.stages)


if __name__ == "__main__":
    main()
