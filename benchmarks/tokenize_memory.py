"""Memory and speed of tokenising a large data set: streamed, against the way that holds everything.

    python -m benchmarks.tokenize_memory [--rows 200000] [--output benchmarks/results/tokenize_memory.json]

Rows are short conversations made up here; the model is random:tiny-llama unless --model names a checkpoint (the
tokenizer decides the speed). Each way runs in a process of its own, which samples its resident memory: anonymous pages
are what a data set held in memory costs, file pages are a cache that the system may take back. `again` runs
the same spec a second time; `read` goes through all microbatches of the streamed result once, as an epoch of training
does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

WORDS = "a harbour at dawn was quiet three boats crate of lemons and the radio that played an old waltz".split()


def write_rows(path: Path, rows: int) -> None:
    """Conversations of one question and one answer, 10 to 60 words, each with its own text."""
    with path.open("w", encoding="utf-8") as handle:
        for number in range(rows):
            words = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(10 + number % 51)]
            cut = len(words) // 3
            question, answer = " ".join(words[:cut]) + f" {number}?", " ".join(words[cut:])
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            handle.write(json.dumps({"id": f"row-{number}", "messages": turns}) + "\n")


class Memory(threading.Thread):
    """The highest anonymous and total resident memory of this process, sampled every 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.resident = 0
        self.stopped = threading.Event()

    def sample(self) -> tuple[int, int]:
        """(anonymous, all) bytes now."""
        pairs = (line.split()[:2] for line in Path("/proc/self/status").read_text().splitlines() if "kB" in line)
        kilobytes = {name.rstrip(":"): int(value) for name, value in pairs}
        return kilobytes["RssAnon"] * 1024, kilobytes["VmRSS"] * 1024

    def run(self) -> None:
        """Sample until stopped."""
        while not self.stopped.wait(0.02):
            anonymous, resident = self.sample()
            self.anonymous, self.resident = max(self.anonymous, anonymous), max(self.resident, resident)


def streamed(model: Path, rows: Path, out: Path) -> None:
    """The trainers' way."""
    from trainers.__main__ import run
    from trainers.spec import ADAPTER

    spec = {"kind": "tokenize", "format": "sft", "model": str(model), "rows": str(rows), "output": str(out)}
    run(ADAPTER.validate_python(spec))


def again(model: Path, rows: Path, out: Path) -> None:
    """The same spec once more; SystemExit if that wrote a file."""
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    streamed(model, rows, out)
    if before != {path: path.stat().st_mtime_ns for path in out.iterdir()}:
        raise SystemExit("the second run wrote files")


def held(model: Path, rows: Path, out: Path) -> None:
    """All rows and all examples in memory, one row a call: the way that streaming replaces."""
    import numpy as np

    from trainers.render import Renderer

    renderer = Renderer(model)
    read = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    examples = [renderer.example(row["messages"]) for row in read]
    out.mkdir(parents=True)
    np.save(out / "input_ids.npy", np.concatenate([np.asarray(e.token_ids, dtype=np.int32) for e in examples]))
    np.save(out / "loss_mask.npy", np.concatenate([np.asarray(e.mask, dtype=np.uint8) for e in examples]))


def read(model: Path, rows: Path, out: Path) -> None:
    """Every microbatch of one epoch, in its order."""
    from trainers.data import TokenData, epoch_order

    data = TokenData(out)
    order = epoch_order(len(data), 0, 0)
    for begin in range(0, len(order), 16):
        for _ in data.microbatches(order[begin : begin + 16], 2048):
            pass


def nothing(model: Path, rows: Path, out: Path) -> None:
    """What every way has before it begins."""


WAYS = {"nothing": nothing, "streamed": streamed, "again": again, "read": read, "held": held}


def child(way: str, model: Path, rows: Path, out: Path) -> None:
    """Run one way in this process and print what it took."""
    import torch  # noqa: F401

    import trainers.data
    import trainers.tokenize  # noqa: F401
    from trainers.render import Renderer

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    Renderer(model)
    memory = Memory()
    memory.start()
    clock, processor = time.monotonic(), time.process_time()
    WAYS[way](model, rows, out)
    seconds, processor_seconds = time.monotonic() - clock, time.process_time() - processor
    time.sleep(0.1)  # long enough for a sample
    memory.stopped.set()
    memory.join()
    took = {"seconds": seconds, "processor_seconds": processor_seconds}
    result = {"way": way, **took, "peak_anonymous": memory.anonymous, "peak_resident": memory.resident}
    print("RESULT " + json.dumps(result))


def measure(way: str, model: Path, rows: Path, out: Path) -> dict[str, Any]:
    """One way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tokenize_memory", "--child", way, str(model), str(rows), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return result


def tiny_model(folder: Path) -> Path:
    """random:tiny-llama as a checkpoint."""
    from trainers.__main__ import run
    from trainers.spec import ADAPTER

    source = {"format": "random", "name": "tiny-llama"}
    run(ADAPTER.validate_python({"kind": "convert", "output": str(folder), "source": source}))
    return folder / "checkpoint"


def main() -> None:
    """Measure every way and write the result."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], *(Path(text) for text in sys.argv[3:6]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--model", type=Path, help="a checkpoint whose tokenizer is used")
    parser.add_argument("--label", help="what the result calls that model")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = options.model or tiny_model(folder / "model")
        rows = folder / "rows.jsonl"
        write_rows(rows, options.rows)
        runs = [measure(way, model, rows, folder / ("held" if way == "held" else "streamed")) for way in WAYS]
        manifest = json.loads((folder / "streamed" / "manifest.json").read_text())
    base = runs[0]["peak_anonymous"]
    for found in runs:
        found["anonymous_above_imports"] = found["peak_anonymous"] - base
        passes = found["way"] not in ("nothing", "again")
        found["rows_per_second"] = options.rows / found["seconds"] if passes else None
    result = {
        "rows": options.rows,
        "tokens": manifest["summary"]["tokens"],
        "tokenizer": options.label or str(options.model or "random:tiny-llama (a token a byte)"),
        "load_average": os.getloadavg(),
        "machine": manifest["machine"],
        "versions": manifest["versions"],
        "runs": runs,
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
