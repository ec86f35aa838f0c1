"""What one training step minimises: a loss per microbatch, its denominator over the global batch, and what to log."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers import objectives
from trainers.data import TokenData
from trainers.divergences import Divergence
from trainers.logprobs import Microbatch
from trainers.spec import DPO, FSFT, Train


class Sums:
    """Adds up what microbatches report; `mean` divides by the number of tokens or pairs."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = defaultdict(float)

    def add(self, name: str, values: Tensor) -> None:
        """Add the sum of ``values``."""
        self.totals[name] += float(values.detach().double().sum())


class Criterion(Protocol):
    """One objective on one data set."""

    group: int

    def denominator(self, examples: list[int]) -> int:
        """Tokens or pairs of the global batch."""

    def loss(self, logprobs: Tensor, batch: Microbatch, sums: Sums) -> Tensor:
        """The microbatch's summed loss; ``logprobs`` (M,)."""

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """What the step logs beside the loss."""


class SFTCriterion:
    """Mean negative log-likelihood over the response tokens of the whole global batch."""

    group = 1

    def __init__(self, data: TokenData) -> None:
        self.data = data

    def denominator(self, examples: list[int]) -> int:
        """Response tokens."""
        return self.data.response_tokens(examples)

    def loss(self, logprobs: Tensor, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.sft_loss`."""
        return objectives.sft_loss(logprobs)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}


class FSFTCriterion(SFTCriterion):
    """f-divergence SFT in the token form; logs how much pull is left and how far the policy has moved."""

    def __init__(self, data: TokenData, reference: NDArray[np.float32], settings: FSFT) -> None:
        super().__init__(data)
        self.reference, self.beta = reference, settings.beta
        self.divergence = Divergence(
            settings.divergence, settings.curvature, settings.max_weight, settings.beyond, settings.alpha
        )

    def loss(self, logprobs: Tensor, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.f_sft_token_loss`."""
        reference = gather(self.reference, batch, logprobs)
        difference = (logprobs - reference).detach()
        scaled = self.beta * difference
        sums.add("mean_slope", self.divergence.slope(scaled))
        sums.add("mean_d", difference)
        sums.add("square_d", difference.double() ** 2)
        sums.add("tangent_rate", self.divergence.on_tangent(scaled))
        sums.add("nll", -logprobs)
        return objectives.f_sft_token_loss(logprobs, reference, self.divergence, self.beta)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """mean phi', mean and standard deviation of d_t, share of tokens on the tangent, negative log-likelihood."""
        found = {name: total / denominator for name, total in sums.totals.items()}
        variance = max(found.pop("square_d") - found["mean_d"] ** 2, 0.0)
        return {**found, "std_d": math.sqrt(variance)}


class DPOCriterion:
    """Direct preference optimisation; a pair's two sequences are always in one microbatch."""

    group = 2

    def __init__(self, data: TokenData, reference: NDArray[np.float32], settings: DPO) -> None:
        self.data, self.reference = data, reference
        self.beta, self.label_smoothing = settings.beta, settings.label_smoothing

    def denominator(self, examples: list[int]) -> int:
        """Pairs."""
        return len(examples)

    def loss(self, logprobs: Tensor, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.dpo_loss`."""
        policy = self._pairs(logprobs, batch)
        reference = self._pairs(gather(self.reference, batch, logprobs), batch)
        rewards = (self.beta * (policy - reference)).detach()
        margin = rewards[:, 0] - rewards[:, 1]
        sums.add("reward_chosen", rewards[:, 0])
        sums.add("reward_rejected", rewards[:, 1])
        sums.add("reward_margin", margin)
        sums.add("accuracy", (margin > 0).double() + 0.5 * (margin == 0).double())
        return objectives.dpo_loss(policy, reference, self.beta, self.label_smoothing)

    def _pairs(self, values: Tensor, batch: Microbatch) -> Tensor:
        return objectives.sequence_sums(values, batch.sequence, len(batch.rows)).view(-1, 2)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """Implicit rewards, their margin, and how often the chosen one is higher (ties count half)."""
        return {name: total / denominator for name, total in sums.totals.items()}


def gather(reference: NDArray[np.float32], batch: Microbatch, like: Tensor) -> Tensor:
    """The reference log-probs of the microbatch's response tokens, (M,), on ``like``'s device and dtype."""
    return torch.from_numpy(np.asarray(reference[batch.token.numpy()])).to(like)


def make(spec: Train, data: TokenData, reference: NDArray[np.float32] | None) -> Criterion:
    """The criterion of a train spec; ``reference`` is there where `needs_reference` says so."""
    settings: Any = spec.objective
    if isinstance(settings, FSFT) and reference is not None:
        return FSFTCriterion(data, reference, settings)
    if isinstance(settings, DPO) and reference is not None:
        return DPOCriterion(data, reference, settings)
    return SFTCriterion(data)


def needs_reference(spec: Train) -> bool:
    """Every objective but plain SFT compares with a reference."""
    return isinstance(spec.objective, FSFT | DPO)
