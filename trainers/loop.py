"""The training loop.

    data (seeded order) → global batch → packed microbatches → log-probs → loss / (tokens or pairs of the batch)
    → accumulated gradient → clip → AdamW → metrics.jsonl; at the end checkpoint/, probe, manifest.

Killed anywhere, the same spec continues from the last resume state and ends with the same weights, bit for bit on one
machine.
"""

from __future__ import annotations

import contextlib
import math
import resource
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers import criteria, events, reference
from trainers.checkpoint import ResumeState, choose_device, load_model, save_checkpoint
from trainers.data import TokenData, epoch_order
from trainers.errors import TrainerError
from trainers.logprobs import Microbatch, check_head, response_scores
from trainers.output import Run, spec_digest, tree, write_json, write_jsonl
from trainers.probe import write_probe
from trainers.spec import DPO, Train
from trainers.updates import UpdateMeter, saved_survival
from trainers.vocabulary import require_vocabulary


def train(spec: Train) -> None:
    """Run a train spec."""
    run = Run(spec)
    reset_peak_memory()
    trainer = Trainer(spec, run.directory)
    trainer.fit()
    summary = trainer.save()
    run.finish(["metrics.jsonl", "spec.json", *tree(run.directory, "checkpoint")], summary)
    trainer.resume.remove()


class Trainer:
    """Model, data, optimiser and schedule of one run."""

    def __init__(self, spec: Train, directory: Path) -> None:
        self.spec, self.directory = spec, directory
        self.device = choose_device(spec.device)
        self.data = TokenData(spec.data, group=2 if isinstance(spec.objective, DPO) else 1)
        require_vocabulary(spec.model, spec.data)
        self.criterion = criteria.make(spec, self.data, self._reference())
        self.model = load_model(spec.model, getattr(torch, spec.weight_dtype), self.device, packed=True)
        check_head(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=spec.learning_rate,
            betas=spec.adam_betas,
            weight_decay=spec.weight_decay,
            fused=True,
        )
        self.meter = UpdateMeter(self.optimizer)
        self.resume = ResumeState(directory, spec_digest(spec))
        self.history: list[dict[str, Any]] = []

    def _reference(self) -> Any:
        if not criteria.needs_reference(self.spec):
            return None
        if self.spec.reference is None:
            raise TrainerError(f"objective {self.spec.objective.name} needs a reference.", "run a reference spec first")
        return reference.load(self.spec.reference, self.data, self.spec.model)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the data; the last batch may be smaller."""
        return math.ceil(len(self.data) / self.spec.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        planned = self.steps_per_epoch * self.spec.epochs
        return min(planned, self.spec.max_steps or planned)

    def batch(self, step: int) -> list[int]:
        """The examples of global batch ``step`` (from 0), a function of seed and step alone."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = epoch_order(len(self.data), self.spec.seed, epoch)
        return order[position * self.spec.batch_size : (position + 1) * self.spec.batch_size]

    def fit(self) -> None:
        """Train from the resume state, or from the start, to the last step."""
        write_json(self.directory / "spec.json", self.spec.model_dump(mode="json"))
        begin, kept = self.resume.read(self.model, self.optimizer)
        self.history = kept.get("history", [])
        if begin:
            events.say(f"continuing after step {begin}")
        for step in range(begin, self.steps):
            self._step(step)
            if step + 1 < self.steps and self.resume.due(step + 1, self.spec.checkpoint_every):
                self.resume.write(step + 1, self.model, self.optimizer, {"history": self.history})
        write_jsonl(self.directory / "metrics.jsonl", self.history)

    def _step(self, step: int) -> None:
        clock = time.monotonic()
        examples = self.batch(step)
        rate = self.spec.learning_rate * schedule(step, self.steps, self.spec.schedule, self.spec.warmup_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, metrics = self.accumulate(examples)
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.max_grad_norm))
        if not math.isfinite(norm):
            raise _diverged(step, "gradient norm", norm, self._row_ids(examples))
        self.meter.open()
        self.optimizer.step()
        metrics |= self.meter.close()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.monotonic() - clock
        tokens = self.data.tokens(examples)
        row = {
            "step": step + 1,
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            **metrics,
            "tokens": tokens,
        }
        self.history.append(row | {"seconds": seconds})
        events.progress(step + 1, self.steps, "step", loss=loss, tokens_per_second=tokens / seconds)

    def accumulate(self, examples: list[int]) -> tuple[float, dict[str, float]]:
        """Gradients of the global batch's loss, microbatch by microbatch; returns the loss and the criterion's
        metrics.
        """
        denominator = self.criterion.denominator(examples)
        sums = criteria.Sums()
        total = 0.0
        for batch in self.data.microbatches(examples, self.spec.max_tokens_per_microbatch):
            loss = self.microbatch_loss(batch, sums) / denominator
            if not math.isfinite(float(loss.detach())):
                raise _diverged(len(self.history), "loss", float(loss.detach()), self._sequence_ids(batch))
            loss.backward()
            total += float(loss.detach())
        return total, self.criterion.metrics(sums, denominator)

    def microbatch_loss(self, batch: Microbatch, sums: criteria.Sums) -> Tensor:
        """The summed loss of one microbatch."""
        moved = batch.to(torch.device(self.device))
        scores = response_scores(self.model, moved, self.spec.autocast, tails=self.criterion.tails)
        return self.criterion.loss(scores, moved, sums)

    def _row_ids(self, examples: list[int]) -> list[str]:
        return [self.data.row_id(self.data.members(example)[0]) for example in examples]

    def _sequence_ids(self, batch: Microbatch) -> list[str]:
        return sorted({self.data.row_id(sequence) for sequence in batch.rows})

    def save(self) -> dict[str, Any]:
        """Write checkpoint/ with its probe; returns the manifest's summary."""
        target = self.directory / "checkpoint"
        save_checkpoint(self.model, self.spec.model, target, getattr(torch, self.spec.save_dtype))
        survival = saved_survival(self.model, self.spec.model, target)
        peak = peak_memory_bytes(self.device)
        write_probe(target, self.device)
        return summarise(self.history) | {"saved_updates": survival, "peak_memory_bytes": peak}


def summarise(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals and means over a run's metrics."""
    seconds = sum(row["seconds"] for row in history)
    tokens = sum(row["tokens"] for row in history)
    summary = {
        "steps": len(history),
        "tokens": tokens,
        "step_seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
    }
    for name in ("surviving_updates", "applied_over_intended", "tangent_rate"):
        values = [row[name] for row in history if name in row]
        if values:
            summary[name] = sum(values) / len(values)
    if "std_d" in history[0]:
        summary["std_d_at_step_0"] = history[0]["std_d"]
    return summary


def schedule(step: int, steps: int, name: str, warmup_ratio: float) -> float:
    """The share of the learning rate at ``step`` (from 0): linear warm-up, then linear, cosine or no decay to 0."""
    warmup = int(warmup_ratio * steps)
    if step < warmup:
        return (step + 1) / warmup
    left = (steps - step) / max(1, steps - warmup)
    if name == "constant":
        return 1.0
    return left if name == "linear" else 0.5 * (1 - math.cos(math.pi * left))


PROCESS = Path("/proc/self")


def reset_peak_memory() -> None:
    """Forget the peak so far: a worker has run other specs before this one."""
    with contextlib.suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int:
    """Peak of the GPU's allocations, or of this process's resident memory."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in (PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _diverged(step: int, what: str, value: float, rows: list[str]) -> TrainerError:
    return TrainerError(
        f"the {what} became {value} at step {step + 1}; rows of the batch: {', '.join(rows)}.",
        "lower the learning rate, or look at these rows",
        exit_code=1,
    )
