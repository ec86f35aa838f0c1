"""The generate job: one engine process completes the prompts of many checkpoints, in fixed chunks.

    python -m harness.backends.job JOB.json

Each checkpoint is a stage with a directory and a manifest of its own. A chunk is written whole or not at all, so a
killed job is continued by the same command, and gives what an undisturbed one gives: a chunk is always the same batch.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness import files, provenance, store
from harness.backends import RESTART_ENGINE
from harness.backends.engine import Engine, Generated, Sampling, SwapMismatch
from harness.errors import BridgebenchError, EnvironmentFault

Prompt = dict[str, Any]


@dataclass(frozen=True)
class GenerateStage:
    """One checkpoint's share of a job."""

    directory: Path
    checkpoint: Path
    prompts: Path
    model_key: str
    identity: dict[str, Any]
    record: dict[str, Any]

    @property
    def result(self) -> str:
        """The file that a finished stage has: completions, or scores of a judge."""
        return "scores.jsonl" if self.record["kind"] == "scores" else "completions.jsonl"

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters."""
        return Sampling(**self.identity["sampling"])

    def chunk_path(self, number: int) -> Path:
        """Where chunk ``number`` is kept until the stage is complete."""
        return self.directory / "chunks" / f"{number:05d}.jsonl"


def main(arguments: list[str]) -> int:
    """Run a job file; returns the exit code."""
    _keep_stdout_for_events()
    job = files.read_json(Path(arguments[0]))
    stages = [
        GenerateStage(
            Path(entry["directory"]),
            Path(entry["checkpoint"]),
            Path(entry["prompts"]),
            entry["model_key"],
            entry["identity"],
            entry["record"],
        )
        for entry in job["stages"]
    ]
    try:
        return run(stages, job["execution"])
    except BridgebenchError as error:
        print(error.show(), file=sys.stderr)
        return error.exit_code
    except MemoryError:
        print(EnvironmentFault("the engine ran out of memory.", MEMORY_HINT).show(), file=sys.stderr)
        return EnvironmentFault.exit_code
    except OSError as error:
        print(EnvironmentFault(f"a file could not be written: {error}").show(), file=sys.stderr)
        return EnvironmentFault.exit_code


MEMORY_HINT = "lower generate.kv_cache_gib or generate.max_model_len, or use --set generate.backend=transformers"


def run(stages: list[GenerateStage], execution: dict[str, Any]) -> int:
    """Complete every stage that is not done; one engine for all of them."""
    engine: Engine | None = None
    loaded = 0
    for stage in stages:
        if (stage.directory / store.MANIFEST).exists():
            continue
        started, clock = provenance.now(), time.monotonic()
        prompts = files.read_jsonl(stage.prompts)
        chunks = _chunks(prompts, stage.identity["chunk_size"])
        missing = [n for n in range(len(chunks)) if not stage.chunk_path(n).exists()]
        if missing:
            engine = engine or make_engine(stage.identity, execution)
            try:
                _load(engine, stage.checkpoint)
            except SwapMismatch as mismatch:
                _event(event="swap_refused", directory=str(stage.directory), reason=str(mismatch))
                if loaded:
                    return RESTART_ENGINE
                raise BridgebenchError(
                    f"the engine does not reproduce the log-probs of {stage.checkpoint}: {mismatch}.",
                    "its numbers could not be trusted; try --set generate.backend=transformers",
                    exit_code=4,
                ) from None
            loaded += 1
            for number in missing:
                _complete_chunk(engine, stage, number, chunks[number])
                _event(
                    event="progress",
                    directory=str(stage.directory),
                    done=number + 1,
                    total=len(chunks),
                    unit="chunk",
                )
        _finish(stage, len(chunks), started, time.monotonic() - clock, getattr(engine, "proof", {}))
    return 0


def make_engine(identity: dict[str, Any], execution: dict[str, Any]) -> Engine:
    """The engine that ``identity`` names. Raises EnvironmentFault where its package or the memory for it is missing."""
    if identity["backend"] == "transformers":
        if identity.get("head") == "reward":
            from harness.backends.reward_engine import RewardEngine

            return RewardEngine(identity["dtype"], identity["device"])
        from harness.backends.transformers_engine import TransformersEngine

        return TransformersEngine(identity["dtype"], identity["device"], identity["max_model_len"])
    from harness.backends.vllm_engine import VllmEngine

    return VllmEngine(
        identity["dtype"],
        identity["device"],
        identity["max_model_len"],
        kv_cache_gib=execution["kv_cache_gib"],
        seed=identity.get("sampling", {}).get("seed", 0),
        refresh_head=execution.get("refresh_head", True),
        gpus=execution.get("gpus", 1),
    )


def _load(engine: Engine, checkpoint: Path) -> None:
    try:
        engine.load(checkpoint)
    except (SwapMismatch, BridgebenchError):
        raise
    except (RuntimeError, ValueError) as error:
        text = str(error).strip() or type(error).__name__
        memory = "memory" in text.lower()
        raise EnvironmentFault(
            f"the engine could not load {checkpoint}: {text.splitlines()[0]}",
            MEMORY_HINT if memory else "the whole reason stands above, in the stage's log",
        ) from error


def _chunks(prompts: list[Prompt], size: int) -> list[list[Prompt]]:
    """Batches in canonical order; prompts that a benchmark answers at different temperatures are not mixed."""
    groups: dict[float | None, list[Prompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.get("temperature"), []).append(prompt)
    return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]


def _complete_chunk(engine: Engine, stage: GenerateStage, number: int, prompts: list[Prompt]) -> None:
    if stage.record["kind"] == "scores":
        files.write_jsonl(stage.chunk_path(number), _scores(engine, prompts))
        return
    seed = stage.sampling.seed * 1_000_003 + number
    sampling = stage.sampling
    if (temperature := prompts[0].get("temperature")) is not None:
        sampling = dataclasses.replace(sampling, temperature=temperature)
    generated = engine.generate([prompt["token_ids"] for prompt in prompts], sampling, seed)
    rows = [
        completion(engine, stage, prompt, answer, sampling) for prompt, answer in zip(prompts, generated, strict=True)
    ]
    files.write_jsonl(stage.chunk_path(number), rows)


def _scores(engine: Engine, prompts: list[Prompt]) -> list[dict[str, Any]]:
    """``{id, logprobs}`` of each question's continuations, or ``{id, reward}`` of each text."""
    ids = [prompt["token_ids"] for prompt in prompts]
    rows = [{"id": prompt["prompt_id"], "prompt_tokens": len(prompt["token_ids"])} for prompt in prompts]
    if "continuation_ids" not in prompts[0]:
        rewards = engine.rewards(ids)
        return [row | {"reward": reward} for row, reward in zip(rows, rewards, strict=True)]
    found = engine.score(ids, [prompt["continuation_ids"] for prompt in prompts])
    return [row | {"logprobs": logprobs} for row, logprobs in zip(rows, found, strict=True)]


def completion(
    engine: Engine, stage: GenerateStage, prompt: Prompt, answer: Generated, sampling: Sampling
) -> dict[str, Any]:
    """One line of ``completions.jsonl``."""
    identity = (
        f"{stage.model_key}\n{prompt['prompt_id']}\n{prompt['rendered_sha256']}\n{files.canonical_json(stage.identity)}"
    )
    return {
        "id": files.sha256_text(identity)[:16],
        "prompt_id": prompt["prompt_id"],
        "messages": prompt["messages"],
        "rendered_sha256": prompt["rendered_sha256"],
        "text": engine.decode(answer.token_ids, keep_special=False),
        "raw_text": engine.decode(answer.token_ids, keep_special=True),
        "finish_reason": answer.finish_reason,
        "prompt_tokens": len(prompt["token_ids"]),
        "completion_tokens": len(answer.token_ids),
        "sampling": dataclasses.asdict(sampling),
        "model_key": stage.model_key,
        "error": None,
    }


def _finish(stage: GenerateStage, chunks: int, started: str, seconds: float, proof: dict[str, Any]) -> None:
    rows = [row for number in range(chunks) for row in files.read_jsonl(stage.chunk_path(number))]
    files.write_jsonl(stage.directory / stage.result, rows)
    summary = {
        "prompts": len(rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row.get("completion_tokens", 0) for row in rows),
        "truncated": sum(row.get("finish_reason") == "length" for row in rows),
        "serving": proof,
    }
    store.write_manifest(stage.directory, stage.record, [stage.result], summary, started, seconds)
    shutil.rmtree(stage.directory / "chunks", ignore_errors=True)
    _event(event="done", directory=str(stage.directory), summary=summary)


_events: IO[str] = sys.stdout


def _keep_stdout_for_events() -> None:
    """Engines print to standard output; send that to standard error, and keep the pipe to the driver for events."""
    global _events
    _events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def _event(**event: Any) -> None:
    print(json.dumps(event), file=_events, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
