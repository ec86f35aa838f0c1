"""One measured process of the serving benchmark: ``python -m benchmarks.serving_side JOB.json``.

A job names what to do, and its result goes to the last line of standard output as JSON:

    neighbours   checkpoints near the given one, each with its probe (nothing measured)
    overhead     one engine: the generate job's way and plain ``LLM.generate``, taking turns
    restart      start an engine on one checkpoint
    swap         one engine, one checkpoint after another
    backend      the generate job's way with the backend that the job names
    order        one engine: prompts as they come and longest first; a long common beginning cached or not

What the job calls ``identity`` and ``execution`` is what a generate stage has (see `harness.backends.job`).
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import files
from harness.backends import job
from harness.backends.chunks import Chunks
from harness.backends.engine import Probe
from harness.backends.server import Server

Told = dict[str, Any]
Pass = Callable[[], dict[str, Any]]


class Clocked:
    """An object whose method ``name`` is timed; everything else is the object's own."""

    def __init__(self, inner: Any, name: str) -> None:
        self.inner, self.name, self.seconds = inner, name, 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return functools.partial(self._timed, found) if name == self.name else found

    def _timed(self, function: Any, *arguments: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - begin


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """(wall seconds, result)."""
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def started(told: Told) -> tuple[float, Server]:
    """An engine that serves the job's checkpoint, and the seconds it took to start, its proof included."""
    server = Server(told["execution"])
    seconds, _ = timed(lambda: server.serve(Path(told["checkpoint"]), told["identity"]))
    return seconds, server


def harness_pass(told: Told, server: Server) -> dict[str, Any]:
    """The generate job's own function on a stage directory that is new each time."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "stage"
        record = {"kind": "generate", "key": "benchmark"}
        checkpoint, prompts = Path(told["checkpoint"]), Path(told["prompts"])
        stage = job.GenerateStage(directory, checkpoint, prompts, "benchmark", told["identity"], record)
        seconds, _ = timed(lambda: job.complete(stage, server))
        rows = files.read_jsonl(directory / stage.result)
    tokens = sum(row["completion_tokens"] for row in rows)
    return {"seconds": seconds, "tokens": tokens, "texts": [row["text"] for row in rows]}


def raw_pass(told: Told, llm: Any, how: Any, chunks: list[list[list[int]]]) -> dict[str, Any]:
    """Plain ``LLM.generate``, a call for each of ``chunks`` (prompts as token ids)."""
    llm.reset_prefix_cache()
    batches = [[{"prompt_token_ids": prompt} for prompt in chunk] for chunk in chunks]
    seconds, answers = timed(lambda: [llm.generate(batch, how, use_tqdm=False) for batch in batches])
    outputs = [answer.outputs[0] for batch in answers for answer in batch]
    ended = set(how.stop_token_ids)
    tokens = sum(len(output.token_ids) - (output.token_ids[-1] in ended) for output in outputs)
    return {"seconds": seconds, "tokens": tokens, "texts": [output.text for output in outputs]}


def sampling(told: Told, engine: Any) -> Any:
    """The job's sampling as a user of vLLM writes it: texts are wanted, so the engine makes them."""
    from vllm import SamplingParams

    own = told["identity"]["sampling"]
    how = {"temperature": own["temperature"], "top_p": own["top_p"], "max_tokens": own["max_new_tokens"]}
    return SamplingParams(**how, stop_token_ids=engine.stop_ids)


def chunks_of(told: Told, size: int) -> list[list[list[int]]]:
    """The job's prompts as token ids, in chunks of ``size``."""
    chunks = Chunks(Path(told["prompts"]), size)
    return [[prompt["token_ids"] for prompt in chunks.read(number)] for number in range(len(chunks))]


def overhead(told: Told) -> dict[str, Any]:
    """Passes of each way, taking turns in one process on one engine."""
    start, server = started(told)
    engine: Any = server.engine
    how = sampling(told, engine)
    engine.llm = clock = Clocked(engine.llm, "generate")
    in_chunks, at_once = chunks_of(told, told["identity"]["chunk_size"]), chunks_of(told, sys.maxsize)
    ways: dict[str, Pass] = {
        "harness": lambda: harness_pass(told, server),
        "raw_in_chunks": lambda: raw_pass(told, clock, how, in_chunks),
        "raw_at_once": lambda: raw_pass(told, clock, how, at_once),
    }
    raw_pass(told, clock, how, in_chunks[:1])  # the first call of an engine is slower
    runs = [clocked_pass(name, ways[name], clock) for turn in range(told["repeats"]) for name in turned(ways, turn)]
    return {"start_seconds": start, "runs": runs}


def clocked_pass(name: str, way: Pass, clock: Clocked) -> dict[str, Any]:
    """A pass with its processor seconds and what of its time was not inside ``LLM.generate``."""
    before, processor = clock.seconds, time.process_time()
    found = way()
    inside = clock.seconds - before
    own = {"outside_engine_seconds": found["seconds"] - inside, "processor_seconds": time.process_time() - processor}
    return {"way": name, **found, **own}


def turned(ways: dict[str, Pass], turn: int) -> list[str]:
    """The ways in another order each turn, so that none always follows the same one."""
    names = list(ways)
    return names[turn % len(names) :] + names[: turn % len(names)]


def restart(told: Told) -> dict[str, Any]:
    """Start and proof of an engine in this new process."""
    seconds, server = started(told)
    return {"start_seconds": seconds, "proof": server.proof}


def swap(told: Told) -> dict[str, Any]:
    """Seconds of each load, and what of it the proof took."""
    server = Server(told["execution"])
    loads = []
    for checkpoint in told["checkpoints"]:
        engine: Any = server.engine
        if engine is not None:
            proof = Clocked(engine, "_prove")
            engine._prove = functools.partial(proof._timed, type(engine)._prove.__get__(engine))
        seconds, _ = timed(lambda path=checkpoint: server.serve(Path(path), told["identity"]))
        loads.append({"seconds": seconds, "proof_seconds": proof.seconds if engine is not None else None})
        loads[-1] |= {"proof": server.proof}
    return {"loads": loads}


def backend(told: Told) -> dict[str, Any]:
    """One pass of the generate job's way after a warm-up on as many prompts, start told apart."""
    start, server = started(told)
    runs = [harness_pass(told, server) for _ in range(told["repeats"])]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"start_seconds": start, "runs": runs, "peak_memory": peak}


def order(told: Told) -> dict[str, Any]:
    """Plain chunks as they come and longest first; the same after a long common beginning, cached and not."""
    _, server = started(told)
    engine: Any = server.engine
    how = sampling(told, engine)
    uncached = how.clone()
    uncached.skip_reading_prefix_cache = True
    chunks = chunks_of(told, told["identity"]["chunk_size"])
    longest_first = [sorted(chunk, key=len, reverse=True) for chunk in chunks]
    beginning = Probe.of(Path(told["checkpoint"])).token_ids
    prefixed = [[beginning + prompt for prompt in chunk] for chunk in chunks]
    ways: dict[str, Pass] = {
        "as_they_come": lambda: raw_pass(told, engine.llm, how, chunks),
        "longest_first": lambda: raw_pass(told, engine.llm, how, longest_first),
        "common_beginning": lambda: raw_pass(told, engine.llm, how, prefixed),
        "common_beginning_not_cached": lambda: raw_pass(told, engine.llm, uncached, prefixed),
    }
    raw_pass(told, engine.llm, how, chunks[:1])
    runs = [{"way": name, **ways[name]()} for turn in range(told["repeats"]) for name in turned(ways, turn)]
    caching = engine.llm.llm_engine.vllm_config.cache_config
    about = {"prefix_caching": caching.enable_prefix_caching, "block_size": caching.block_size}
    return {"runs": runs, "beginning_tokens": len(beginning), **about}


def neighbours(told: Told) -> dict[str, Any]:
    """Copies of a checkpoint, weights moved by ``scale`` of their tensor's deviation, with probes."""
    import torch
    from safetensors.torch import load_file, save_file

    from trainers.probe import write_probe

    source = Path(told["checkpoint"])
    weights = load_file(source / "model.safetensors")
    for number, target in enumerate(Path(path) for path in told["targets"]):
        shutil.copytree(source, target)
        generator = torch.Generator().manual_seed(number)
        moved = {
            name: value + told["scale"] * value.std() * torch.randn(value.shape, generator=generator)
            for name, value in weights.items()
        }
        save_file(moved, target / "model.safetensors", metadata={"format": "pt"})
        write_probe(target)
    return {}


def main() -> None:
    """Do the job; what engines print goes to standard error."""
    answer = os.dup(1)
    os.dup2(2, 1)
    told = json.loads(Path(sys.argv[1]).read_text())
    jobs = (overhead, restart, swap, backend, order, neighbours)
    found = {each.__name__: each for each in jobs}[told["what"]](told)
    os.write(answer, (json.dumps(found) + "\n").encode())


if __name__ == "__main__":
    main()
