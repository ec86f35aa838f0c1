"""The training loop.

    data (seeded order) → global batch → this process's share → packed microbatches → log-probs
    → loss / (tokens or pairs of the global batch) → accumulated gradient → clip → AdamW → metrics.jsonl
    → at intervals held-out loss and resume state; at the end checkpoint/, probe, manifest.

Killed anywhere, the same spec continues from the last resume state and ends with the same weights, bit for bit on one
machine. A first SIGTERM or Ctrl-C finishes the step, keeps its state and exits; another one, later than `SAME_NOTICE`,
exits at once.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from trainers import criteria, evaluation, events, reference
from trainers.attention import without_autocast
from trainers.checkpoint import choose_device, save_checkpoint
from trainers.data import TokenData, epoch_order
from trainers.distributed import World, whole
from trainers.errors import TrainerError
from trainers.logprobs import Microbatch, autocast_context
from trainers.memory import keep_freed_memory, peak_memory_bytes, reset_peak_memory
from trainers.metrics import FILE, Metrics
from trainers.optimizer import make_optimizer
from trainers.output import Run, tree, write_json
from trainers.policy import make_policy, plain_weights, trained_parameters
from trainers.probe import write_probe
from trainers.resume import ResumeState
from trainers.spec import DPO, Train
from trainers.updates import UpdateMeter, saved_survival
from trainers.vocabulary import require_vocabulary

SAME_NOTICE = 3.0  # seconds: a batch system tells every process of a job, and a driver then tells its trainer again


def train(spec: Train) -> None:
    """Run a train spec."""
    run = Run(spec)
    reset_peak_memory()
    trainer = Trainer(spec, run.directory)
    trainer.fit()
    summary = trainer.save()
    if trainer.world.writes:
        run.finish([FILE, "spec.json", *tree(run.directory, "checkpoint")], summary)
    trainer.resume.remove()
    trainer.world.leave()


class Trainer:
    """Model, data, optimiser and schedule of one run."""

    def __init__(self, spec: Train, directory: Path) -> None:
        self.spec, self.directory = spec, directory
        self.device = choose_device(spec.device)
        keep_freed_memory()
        self.world = World(self.device)
        self.data = TokenData(spec.data, group=2 if isinstance(spec.objective, DPO) else 1)
        require_vocabulary(spec.model, spec.data)
        self.criterion = criteria.make(spec, self.data, self._reference())
        self.held_out = evaluation.make(spec, self.data.group, self.world)
        self.scorer = make_policy(spec, self.device, self.world)
        self.parameters = trained_parameters(self.scorer)
        self.optimizer = make_optimizer(spec, [parameter for _, parameter in self.parameters], self.world.rank)
        self.meter = UpdateMeter(self.optimizer, self.world)
        self.resume = ResumeState(directory, spec, self.world)
        self.metrics = Metrics(directory, self.steps, self.world.writes, spec.tensorboard)
        self.stopping = False

    def _reference(self) -> Any:
        if not criteria.needs_reference(self.spec):
            return None
        if self.spec.reference is None:
            raise TrainerError(f"objective {self.spec.objective.name} needs a reference.", "run a reference spec first")
        return reference.load(self.spec.reference, self.data, self.spec.model)

    @property
    def model(self) -> Any:
        """The model in training."""
        return self.scorer.model

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of the steps taken so far."""
        return self.metrics.rows

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
        begin, kept = self.resume.read(self.parameters, self.optimizer)
        if self.world.writes:
            write_json(self.directory / "spec.json", self.spec.model_dump(mode="json"))
        self.metrics.restart(kept.get("history", []))
        if begin and self.world.writes:
            events.say(f"continuing after step {begin}")
        try:
            with _Signals(self._stop):
                for step in range(begin, self.steps):
                    self._step(step)
                    self._keep(step + 1)
        finally:
            self.metrics.close()

    def _stop(self) -> None:
        self.stopping = True

    def _keep(self, done: int) -> None:
        """Write the resume state if it is time, or if the run was told to stop (which then ends it)."""
        stopping = bool(self.world.largest(int(self.stopping)))
        due = done < self.steps and self.resume.due(done, self.spec.checkpoint_every)
        if stopping or due:
            self.resume.write(done, self.parameters, self.optimizer, {"history": self.history})
        if stopping:
            raise KeyboardInterrupt

    def _step(self, step: int) -> None:
        clock = time.monotonic()
        examples = self.batch(step)
        rate = self.spec.learning_rate * schedule(step, self.steps, self.spec.schedule, self.spec.warmup_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, metrics = self.accumulate(examples)
        trained = [parameter for _, parameter in self.parameters]
        norm = float(whole(torch.nn.utils.clip_grad_norm_(trained, self.spec.max_grad_norm)))
        if not math.isfinite(norm):
            raise _diverged(step, "gradient norm", norm, self._row_ids(examples))
        self.meter.open()
        self.optimizer.step()
        metrics |= self.meter.close()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.monotonic() - clock
        if self.held_out is not None and evaluation.due(self.spec, step + 1, step + 1 == self.steps):
            metrics |= self.held_out.measure(self.scorer, self.device)
        taken = {"step": step + 1, "loss": loss, "learning_rate": rate, "grad_norm": norm}
        self.metrics.add({**taken, **metrics, "tokens": self.data.tokens(examples), "seconds": seconds})

    def accumulate(self, examples: list[int]) -> tuple[float, dict[str, float]]:
        """Gradients of the global batch's loss, microbatch by microbatch; returns the loss and the criterion's
        metrics, those of all processes.
        """
        mine = self.world.share(examples)
        denominator = round(self.world.sum([float(self.criterion.denominator(mine))])[0])
        sums, total = criteria.Sums(), 0.0
        # one context around all microbatches, so that the weights are cast once a step; the forward pass enters its own
        with autocast_context(self.device, self.spec.autocast), without_autocast(self.device):
            for turn in self.world.in_step(self.data, mine, self.spec.max_tokens_per_microbatch):
                counted = criteria.Sums() if not turn.counts else sums
                loss = self.microbatch_loss(turn.microbatch, counted) / denominator
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise _diverged(len(self.history), "loss", value, self._sequence_ids(turn.microbatch))
                # sharded gradients are averaged over the processes, and the sum is wanted
                (loss * (self.world.size if turn.counts else 0)).backward()
                total += value if turn.counts else 0.0
        (total,) = self.world.sum([total])
        return total, self.criterion.metrics(self.world.sum_of(sums), denominator)

    def microbatch_loss(self, batch: Microbatch, sums: criteria.Sums) -> Tensor:
        """The summed loss of one microbatch."""
        moved = batch.to(torch.device(self.device))
        return self.criterion.loss(self.scorer(moved, tails=self.criterion.tails), moved, sums)

    def _row_ids(self, examples: list[int]) -> list[str]:
        return [self.data.row_id(self.data.members(example)[0]) for example in examples]

    def _sequence_ids(self, batch: Microbatch) -> list[str]:
        return sorted({self.data.row_id(sequence) for sequence in batch.rows})

    def save(self) -> dict[str, Any]:
        """Write checkpoint/ with its probe; returns the manifest's summary."""
        target = self.directory / "checkpoint"
        weights = plain_weights(self.scorer, self.optimizer)
        summary = self.metrics.summary() | {"processes": self.world.size}
        if self.world.writes:
            save_checkpoint(self.model, self.spec.model, target, getattr(torch, self.spec.save_dtype), weights)
            summary["saved_updates"] = saved_survival(weights, self.spec.model, target)
            summary["peak_memory_bytes"] = peak_memory_bytes(self.device)
            write_probe(target, self.device)
        self.world.wait()
        return summary


class _Signals:
    """While it lasts the first SIGTERM or SIGINT calls ``stop``; one that is another notice is what it was before."""

    NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, stop: Any) -> None:
        self.stop, self.told = stop, math.inf
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._take) for number in self.NUMBERS}

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.told == math.inf:
            self.told = time.monotonic()
            self.stop()
        elif time.monotonic() - self.told > SAME_NOTICE:
            self._put(self.before)
            signal.raise_signal(number)

    def __exit__(self, *_: object) -> None:
        # once told, this process is on its way out; what is left of the notice must not end it before it has said so
        # (the interpreter's own end puts default handlers back, but leaves ignored signals ignored)
        self._put(self.before if self.told == math.inf else dict.fromkeys(self.before, signal.SIG_IGN))

    def _put(self, handlers: dict[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def schedule(step: int, steps: int, name: str, warmup_ratio: float) -> float:
    """The share of the learning rate at ``step`` (from 0): linear warm-up, then linear, cosine or no decay to 0."""
    warmup = int(warmup_ratio * steps)
    if step < warmup:
        return (step + 1) / warmup
    left = (steps - step) / max(1, steps - warmup)
    if name == "constant":
        return 1.0
    return left if name == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def _diverged(step: int, what: str, value: float, rows: list[str]) -> TrainerError:
    return TrainerError(
        f"the {what} became {value} at step {step + 1}; rows of the batch: {', '.join(rows)}.",
        "lower the learning rate, or look at these rows",
        exit_code=1,
    )
