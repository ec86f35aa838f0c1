"""One side of the trainer benchmark in a process of its own: ``python -m benchmarks.trainers_side JOB.json``.

A job names what to do, and its result goes to the last line of standard output as JSON:

    ours, trl    train on the job's examples in their order; tokens, seconds (reference pass included), peak memory
    loss         both losses and mean log-probs of the first batch, float32 arithmetic, nothing trained
    ceiling      large matrix products
    profile      this project's training under the torch profiler: share of time per kind of operation

Neither imports nor model loading nor tokenisation are timed; both sides read the same token ids.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainers import loop, memory, reference
from trainers.data import TokenData, epoch_order
from trainers.spec import ADAPTER

Job = dict[str, Any]
NEVER = 1_000_000
AUTOCAST = "bfloat16"
# the trainers' setting → the dtype of TRL's weights
WEIGHTS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "bfloat16_stochastic": torch.bfloat16}


class Stopwatch:
    """Seconds spent inside `running` blocks; a GPU is waited for."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the block."""
        wait_for_device()
        begin = time.perf_counter()
        try:
            yield
        finally:
            wait_for_device()
            self.seconds += time.perf_counter() - begin


def wait_for_device() -> None:
    """Let queued kernels finish."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def train_spec(job: Job, output: Path, **more: Any) -> Any:
    """The trainers' spec of a job."""
    objective = {"name": "dpo", "beta": 0.1} if job["task"] == "dpo" else {"name": "sft"}
    spec = {
        "kind": "train",
        "model": job["model"],
        "data": job["data"],
        "output": str(output),
        "objective": objective,
        "learning_rate": job["learning_rate"],
        "batch_size": job["batch"],
        "max_tokens_per_microbatch": job["microbatch"],
        "autocast": AUTOCAST,
        "checkpoint_every": NEVER,
        "device": job["device"],
        "save_dtype": "float32",
        "compile": job.get("compile", False),
    }
    if job["weights"] != "float32":
        spec["weight_dtype"] = job["weights"]
    return ADAPTER.validate_python(spec | more)


def reference_of(job: Job, folder: Path, watch: Stopwatch, autocast: str | None = AUTOCAST) -> str | None:
    """Reference log-probs where the task needs them; loading the model is taken out of the time."""
    if job["task"] != "dpo":
        return None
    # TRL's imports are no part of its time either
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    loading = Stopwatch()
    plain = reference.load_model

    def timed(*arguments: Any, **named: Any) -> Any:
        with loading.running():
            return plain(*arguments, **named)

    spec = {
        "kind": "reference",
        "model": job["model"],
        "data": job["data"],
        "output": str(folder),
        "autocast": autocast,
        "max_tokens_per_microbatch": job["microbatch"],
        "device": job["device"],
        "compile": job.get("compile", False),
    }
    reference.load_model = timed  # type: ignore[attr-defined]
    with watch.running():
        reference.reference(ADAPTER.validate_python(spec))
    reference.load_model = plain  # type: ignore[attr-defined]
    watch.seconds -= loading.seconds
    return str(folder)


def ours(job: Job) -> dict[str, Any]:
    """This project: reference pass, then training."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = reference_of(job, folder / "reference", watch)
        reference_seconds = watch.seconds
        trainer = loop.Trainer(train_spec(job, folder / "run", reference=kept), folder / "run")
        memory.reset_peak_memory()
        with watch.running():
            trainer.fit()
        rows = trainer.history
        return {
            "tokens": sum(row["tokens"] for row in rows),
            "seconds": watch.seconds,
            "reference_seconds": reference_seconds,
            "peak_memory": memory.peak_memory_bytes(trainer.device),
            "losses": [row["loss"] for row in rows],
        }


def profile(job: Job) -> dict[str, Any]:
    """Share of the CPU's (the GPU's) own time per operation, the twelve largest."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = reference_of(job, folder / "reference", Stopwatch())
        trainer = loop.Trainer(train_spec(job, folder / "run", reference=kept), folder / "run")
        trainer.metrics.restart([])
        trainer._step(0)
        with torch.profiler.profile(record_shapes=bool(job.get("shapes"))) as recorded:
            for step in range(1, trainer.steps):
                trainer._step(step)
        on_gpu = trainer.device == "cuda"
        averages = recorded.key_averages(group_by_input_shape=bool(job.get("shapes")))
        times = [(e.self_device_time_total if on_gpu else e.self_cpu_time_total, e) for e in averages]
        total = sum(spent for spent, _ in times)
        largest = sorted(times, key=lambda pair: -pair[0])[: job.get("largest", 12)]
        return {
            "microseconds": total,
            "share": [
                {"operation": e.key, "share": round(spent / total, 4), "calls": e.count}
                | ({"shapes": str(e.input_shapes)} if job.get("shapes") else {})
                for spent, e in largest
            ],
        }


def trl(job: Job) -> dict[str, Any]:
    """TRL on the same token ids in the same order, with the settings of the job."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as temporary:
        trainer = make_trl(job, Path(temporary), watch)
        reference_seconds = watch.seconds
        memory.reset_peak_memory()
        with watch.running():
            trainer.train()
        device = "cuda" if trainer.args.device.type == "cuda" else "cpu"
        data = TokenData(Path(job["data"]), group=group(job))
        return {
            "tokens": trainer.seen_tokens,
            "expected_tokens": data.tokens(list(range(len(data)))),
            "seconds": watch.seconds,
            "reference_seconds": reference_seconds,
            "peak_memory": memory.peak_memory_bytes(device),
            "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
            "steps": trainer.state.global_step,
        }


def make_trl(job: Job, folder: Path, watch: Stopwatch) -> Any:
    """A TRL trainer that reads its examples in order, counts real tokens and times its reference pass."""
    import trl as library
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, config = (
        (library.DPOTrainer, library.DPOConfig) if job["task"] == "dpo" else (library.SFTTrainer, library.SFTConfig)
    )

    class Counting(base):  # type: ignore[misc, valid-type]
        seen_tokens = 0

        def _prepare_dataset(self, dataset: Any, *arguments: Any, **named: Any) -> Any:
            # pairs are token ids already, which TRL's preparation does not expect; demonstrations it recognises
            if job["task"] == "dpo":
                return dataset
            return super()._prepare_dataset(dataset, *arguments, **named)

        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def compute_loss(self, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
            mask = inputs.get("attention_mask")
            self.seen_tokens += int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
            return super().compute_loss(model, inputs, *arguments, **named)

        def _precompute_ref_logps(self, *arguments: Any, **named: Any) -> Any:
            with watch.running():
                return super()._precompute_ref_logps(*arguments, **named)

    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=WEIGHTS[job["weights"]])
    settings = {
        "output_dir": str(folder),
        "per_device_train_batch_size": job["batch"],
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "linear",
        "optim": "adamw_torch_fused",
        "max_grad_norm": 1.0,
        "bf16": job.get("autocast", AUTOCAST) is not None,
        "gradient_checkpointing": False,
        "max_length": job["max_length"],
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": job["device"] == "cpu",
        "disable_tqdm": True,
        "dataloader_pin_memory": job["device"] == "cuda",
        **job.get("trl", {}),
    }
    return Counting(
        model=model,
        args=config(**settings),
        train_dataset=trl_rows(job),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
    )


def group(job: Job) -> int:
    """Sequences of one example."""
    return 2 if job["task"] == "dpo" else 1


def trl_rows(job: Job) -> Any:
    """The tokenised examples as TRL's pre-tokenised columns, in the order in which the other side takes them."""
    from datasets import Dataset

    data = TokenData(Path(job["data"]), group=group(job))
    rows = []
    for example in epoch_order(len(data), 0, 0):
        sequences = [_sequence(data, sequence) for sequence in data.members(example)]
        rows.append(_pair(*sequences) if job["task"] == "dpo" else _demonstration(*sequences))
    return Dataset.from_list(rows)


def _sequence(data: TokenData, sequence: int) -> tuple[list[int], list[int]]:
    inside = slice(int(data.offsets[sequence]), int(data.offsets[sequence + 1]))
    return data.input_ids[inside].tolist(), data.loss_mask[inside].tolist()


def _demonstration(sequence: tuple[list[int], list[int]]) -> dict[str, list[int]]:
    ids, mask = sequence
    return {"input_ids": ids, "labels": [token if kept else -100 for token, kept in zip(ids, mask, strict=True)]}


def _pair(chosen: tuple[list[int], list[int]], rejected: tuple[list[int], list[int]]) -> dict[str, list[int]]:
    prompt = chosen[1].index(1)
    return {
        "prompt_ids": chosen[0][:prompt],
        "chosen_ids": chosen[0][prompt:],
        "rejected_ids": rejected[0][prompt:],
    }


def loss(job: Job) -> dict[str, Any]:
    """Loss of the first batch on both sides, and for pairs the mean summed log-probs (the loss itself is log 2)."""
    first = dict(job, autocast=None, weights="float32")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = reference_of(first, folder / "reference", Stopwatch(), autocast=None)
        trainer = loop.Trainer(train_spec(first, folder / "run", reference=kept, autocast=None), folder / "run")
        value, metrics = trainer.accumulate(trainer.batch(0))
        found = {"loss": value, **metrics}
        if kept is not None:
            found["logps_chosen"], found["logps_rejected"] = _mean_sums(Path(kept), trainer)
        del trainer
        trl_side = make_trl(first, folder / "trl", Stopwatch())
        batch = next(iter(trl_side.get_train_dataloader()))
        trl_side.model.train()
        with torch.no_grad():
            trl_found = {"loss": float(trl_side.compute_loss(trl_side.model, batch))}
        logged = trl_side._metrics["train"]
        for side in ("chosen", "rejected"):
            if f"logps/{side}" in logged:
                trl_found[f"logps_{side}"] = float(logged[f"logps/{side}"][0])
    return {"ours": {name: found[name] for name in trl_found}, "trl": trl_found}


def _mean_sums(kept: Path, trainer: Any) -> list[float]:
    """Mean over the first batch's pairs of the summed log-probs of chosen and rejected."""
    values = np.load(kept / "logprobs.npy")
    sums = [
        [
            float(np.nansum(values[trainer.data.offsets[s] : trainer.data.offsets[s + 1]]))
            for s in trainer.data.members(example)
        ]
        for example in trainer.batch(0)
    ]
    return [float(mean) for mean in np.mean(sums, axis=0)]


def ceiling(job: Job) -> dict[str, Any]:
    """FLOP/s of large square matrix products, the best of several, bfloat16 and float32."""
    device, size = job["device"], 8192 if job["device"] == "cuda" else 2048
    found = {}
    for name in ("bfloat16", "float32"):
        left = torch.randn(size, size, device=device).to(getattr(torch, name))
        best = 0.0
        for _ in range(12):
            watch = Stopwatch()
            with watch.running():
                left @ left
            best = max(best, 2 * size**3 / watch.seconds)
        found[name] = best
    return found


def main() -> None:
    """Do the job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    result = {"ours": ours, "trl": trl, "loss": loss, "ceiling": ceiling, "profile": profile}[job["what"]](job)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
