"""Memory of a generate job by the number of its prompts: a job must not hold what lies in its files.

    python -m benchmarks.serving_memory [--counts 2000 20000] [--no-write]

The job is the real command (``python -m harness.backends.job``) with random:tiny-llama on the transformers backend, one
new token a prompt, prompts of 64 tokens and some 2,500 characters; memory is the peak resident size of its process.
"held" is what the same prompts and completions take when they are read into lists, in a process that does nothing else.
Writes ``benchmarks/results/serving_memory.json``. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tokenize_memory import WORDS
from benchmarks.trainers import environment, machine
from harness import files, provenance

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "serving_memory.json"
IDENTITY = {
    "backend": "transformers",
    "dtype": "float32",
    "device": "cpu",
    "chunk_size": 64,
    "max_model_len": 512,
    "sampling": {"max_new_tokens": 1, "temperature": 0.0, "top_p": 1.0, "seed": 0},
}
HOLD = """\
import sys
from pathlib import Path
from harness import files
held = [files.read_jsonl(Path(path)) for path in sys.argv[1:]]
"""


def main() -> None:
    """Measure every count and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--no-write", action="store_true", help="only print")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = converted(Path(temporary))
        runs = [measure(count, checkpoint, Path(temporary)) for count in arguments.counts]
    found = {
        "model": "random:tiny-llama",
        "identity": IDENTITY,
        "runs": runs,
        "machine": machine("cpu"),
        "versions": provenance.versions(),
        "commit": provenance.commit()[0],
        "measured": provenance.now(),
    }
    print(json.dumps(found, indent=2))
    if not arguments.no_write:
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


def converted(folder: Path) -> Path:
    """random:tiny-llama, made by a child: a process counts its parent's peak as its own, so this one stays small."""
    spec = {"kind": "convert", "output": str(folder / "model"), "source": {"format": "random", "name": "tiny-llama"}}
    files.write_json(folder / "model.json", spec)
    peak_of("-m", "trainers", str(folder / "model.json"))
    return folder / "model" / "checkpoint"


def measure(count: int, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Peak memory of a job with ``count`` prompts, in MB."""
    prompts, out = folder / f"prompts-{count}.jsonl", folder / f"stage-{count}"
    files.write_jsonl(prompts, rows(count))
    entry = {
        "directory": str(out),
        "checkpoint": str(checkpoint),
        "prompts": str(prompts),
        "model_key": "benchmark",
        "identity": IDENTITY,
        "record": {"kind": "generate", "key": "benchmark"},
    }
    files.write_json(folder / "job.json", {"execution": {"kv_cache_gib": 1.0}, "stages": [entry]})
    begin = time.perf_counter()
    peak = peak_of("-m", "harness.backends.job", str(folder / "job.json"))
    seconds = time.perf_counter() - begin
    completions = out / "completions.jsonl"
    return {
        "prompts": count,
        "prompts_file_mb": megabytes(prompts.stat().st_size),
        "completions_file_mb": megabytes(completions.stat().st_size),
        "peak_mb": megabytes(peak),
        "held_mb": megabytes(peak_of("-c", HOLD, str(prompts), str(completions)) - peak_of("-c", HOLD)),
        "measuring_process_mb": megabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
        "seconds": round(seconds, 1),
    }


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Lines of a prompts file, each with its own text; token ids are large, which Python does not share as it does
    small numbers.
    """
    for number in range(count):
        words = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(500)]
        text = f"{number} " + " ".join(words)
        turns = [{"role": "user", "content": text}]
        token_ids = [257 + byte % 62 for byte in text.encode()[:64]]
        yield {
            "prompt_id": f"p{number}",
            "messages": turns,
            "token_ids": token_ids,
            "rendered_sha256": files.sha256_text(text),
        }


def peak_of(*arguments: str) -> int:
    """Peak resident bytes of ``python *arguments``. Exits if it failed."""
    own = {"cwd": ROOT, "env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *arguments], **own)  # type: ignore[call-overload]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{arguments[:2]} ended with {process.returncode}")
    return int(usage.ru_maxrss) * 1024


def megabytes(value: float) -> float:
    """Bytes → MB, to a tenth."""
    return round(value / 1e6, 1)


if __name__ == "__main__":
    main()
