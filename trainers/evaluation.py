"""Held-out loss: the run's own criterion on data that it is not trained on."""

from __future__ import annotations

import torch

from trainers import criteria, reference
from trainers.data import TokenData
from trainers.distributed import World
from trainers.errors import TrainerError
from trainers.policy import Scorer
from trainers.spec import Train


class HeldOut:
    """The data of ``eval_data``; every process works on its share of it."""

    def __init__(self, spec: Train, group: int, world: World) -> None:
        assert spec.eval_data is not None  # asked for by `make`
        self.spec, self.world = spec, world
        self.data = TokenData(spec.eval_data, group=group)
        values = None
        if criteria.needs_reference(spec):
            if spec.eval_reference is None:
                raise TrainerError(f"eval_data with objective {spec.objective.name} needs eval_reference.")
            values = reference.load(spec.eval_reference, self.data, spec.model)
        self.criterion = criteria.make(spec, self.data, values)

    @torch.no_grad()
    def measure(self, scorer: Scorer, device: str) -> dict[str, float]:
        """``eval_loss`` and the criterion's metrics, each with the prefix ``eval_``."""
        examples = list(range(len(self.data)))
        sums, total = criteria.Sums(), 0.0
        for batch in self.world.in_step(self.data, self.world.share(examples), self.spec.max_tokens_per_microbatch):
            moved = batch.microbatch.to(torch.device(device))
            scores = scorer(moved, tails=self.criterion.tails)
            if batch.counts:
                total += float(self.criterion.loss(scores, moved, sums))
        denominator = self.criterion.denominator(examples)
        (total,) = self.world.sum([total])
        metrics = self.criterion.metrics(self.world.sum_of(sums), denominator)
        return {"eval_loss": total / denominator} | {f"eval_{name}": value for name, value in metrics.items()}


def make(spec: Train, group: int, world: World) -> HeldOut | None:
    """The held-out data of a spec, if it names some."""
    return None if spec.eval_data is None else HeldOut(spec, group, world)


def due(spec: Train, step: int, last: bool) -> bool:
    """Whether to measure after ``step``: at the end always."""
    return last or (spec.eval_every is not None and step % spec.eval_every == 0)
