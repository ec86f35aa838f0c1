"""What one training step minimises: a loss per microbatch, its denominator over the global batch, and what to log.

`make` picks one of three by the spec: `SFTCriterion` (tokens), `FSFTCriterion` (tokens, compared with the reference, in
one of three forms) and `DPOCriterion` (pairs, compared with the reference).
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers import events, objectives
from trainers.data import TokenData
from trainers.divergences import Divergence
from trainers.errors import TrainerError
from trainers.logprobs import Microbatch, Scores
from trainers.reference import ReferenceScores
from trainers.spec import DPO, FSFT, Train


class Sums:
    """Adds up what microbatches report; `mean` divides by the number of tokens or pairs."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = defaultdict(float)

    def add(self, name: str, values: Tensor) -> None:
        """Add the sum of ``values``."""
        self.totals[name] += float(values.detach().double().sum())


class Criterion(Protocol):
    """One objective on one data set. ``tails`` says whether it reads the states behind truncated turns."""

    group: int
    tails: bool

    def denominator(self, examples: list[int]) -> int:
        """Tokens or pairs of the global batch."""

    def loss(self, scores: Scores, batch: Microbatch, sums: Sums) -> Tensor:
        """The microbatch's summed loss."""

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """What the step logs beside the loss."""


class SFTCriterion:
    """Mean negative log-likelihood over the response tokens of the whole global batch."""

    group = 1
    tails = False

    def __init__(self, data: TokenData) -> None:
        self.data = data

    def denominator(self, examples: list[int]) -> int:
        """Response tokens."""
        return self.data.response_tokens(examples)

    def loss(self, scores: Scores, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.sft_loss`."""
        return objectives.sft_loss(scores.logprob)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}


class FSFTCriterion(SFTCriterion):
    """f-divergence SFT in one of its forms; logs how much pull is left and how far the policy has moved."""

    def __init__(self, data: TokenData, reference: ReferenceScores, settings: FSFT) -> None:
        super().__init__(data)
        self.reference, self.form, self.gauge = reference, settings.form, settings.gauge
        self.tails = settings.form == "soft_value"
        self.beta = settings.beta
        self.divergence = Divergence(
            settings.divergence, settings.curvature, settings.max_weight, settings.beyond, settings.alpha
        )
        if self.tails and settings.gauge == "raw":
            events.say(
                "gauge raw: values are beta * logsumexp of the policy's logits alone, so r is not 0 at the reference; "
                "many tokens may start outside the divergence's domain (see tangent_rate of step 1)"
            )

    def loss(self, scores: Scores, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.f_sft_loss` of the form's reward."""
        reference = gather(self.reference.logprob, batch.token, scores.logprob)
        reward, value = self._reward(scores, reference, batch)
        self._log(reward.detach(), (scores.logprob - reference).detach(), batch, sums)
        sums.add("nll", -scores.logprob)
        return objectives.f_sft_loss(reward, self.divergence, self.beta, value)

    def _reward(self, scores: Scores, reference: Tensor, batch: Microbatch) -> tuple[Tensor, Tensor | None]:
        if self.form == "token":
            return objectives.token_reward(scores.logprob, reference, self.beta), None
        if self.form == "sequence":
            return objectives.sequence_reward(scores.logprob, reference, self.beta, batch.turns), None
        value, tail = self._values(scores, batch)
        return objectives.soft_value_reward(scores.logprob, reference, value, tail, self.beta, batch.turns)

    def _values(self, scores: Scores, batch: Microbatch) -> tuple[Tensor, Tensor]:
        """V = beta (logsumexp - logsumexp_0) at the response states (M,) and behind truncated turns (K,)."""
        if self.gauge == "raw":
            return self.beta * scores.logsumexp, self.beta * scores.tail
        base = gather(self.reference.logsumexp, batch.token - 1, scores.logsumexp)
        base_tail = gather(self.reference.logsumexp, batch.turns.tail_token, scores.tail)
        return self.beta * (scores.logsumexp - base), self.beta * (scores.tail - base_tail)

    def _log(self, reward: Tensor, difference: Tensor, batch: Microbatch, sums: Sums) -> None:
        """Per token, also where one reward stands for a turn: a turn's weight is the weight of each of its tokens."""
        slope, tangent = self.divergence.slope(reward), self.divergence.on_tangent(reward)
        if self.form == "sequence":
            slope, tangent = slope[batch.turns.of_token], tangent[batch.turns.of_token]
        sums.add("mean_slope", slope)
        sums.add("tangent_rate", tangent)
        sums.add("mean_d", difference)
        sums.add("square_d", difference.double() ** 2)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """mean phi', mean and standard deviation of d_t, share of tokens on the tangent, negative log-likelihood."""
        found = {name: total / denominator for name, total in sums.totals.items()}
        variance = max(found.pop("square_d") - found["mean_d"] ** 2, 0.0)
        return {**found, "std_d": math.sqrt(variance)}


class DPOCriterion:
    """Direct preference optimisation; a pair's two sequences are always in one microbatch."""

    group = 2
    tails = False

    def __init__(self, data: TokenData, reference: ReferenceScores, settings: DPO) -> None:
        self.data, self.reference = data, reference
        self.beta, self.label_smoothing = settings.beta, settings.label_smoothing
        self.divergence, self.alpha = settings.divergence, settings.alpha

    def denominator(self, examples: list[int]) -> int:
        """Pairs."""
        return len(examples)

    def loss(self, scores: Scores, batch: Microbatch, sums: Sums) -> Tensor:
        """`objectives.dpo_loss`."""
        policy = self._pairs(scores.logprob, batch)
        reference = self._pairs(gather(self.reference.logprob, batch.token, scores.logprob), batch)
        ratio = (policy - reference).detach()
        at_start = objectives.dpo_score(torch.zeros_like(ratio), self.divergence, self.alpha)
        rewards = self.beta * (objectives.dpo_score(ratio, self.divergence, self.alpha) - at_start)
        margin = rewards[:, 0] - rewards[:, 1]
        sums.add("reward_chosen", rewards[:, 0])
        sums.add("reward_rejected", rewards[:, 1])
        sums.add("reward_margin", margin)
        sums.add("accuracy", (margin > 0).double() + 0.5 * (margin == 0).double())
        return objectives.dpo_loss(policy, reference, self.beta, self.label_smoothing, self.divergence, self.alpha)

    def _pairs(self, values: Tensor, batch: Microbatch) -> Tensor:
        return objectives.sequence_sums(values, batch.sequence, len(batch.rows)).view(-1, 2)

    def metrics(self, sums: Sums, denominator: int) -> dict[str, float]:
        """Implicit rewards beta * score, 0 at the reference, their margin, and how often the chosen one is higher (ties
        count half).
        """
        return {name: total / denominator for name, total in sums.totals.items()}


def gather(stored: NDArray[np.float32], token: Tensor, like: Tensor) -> Tensor:
    """The reference's stored values at ``token`` (flat indices), on ``like``'s device and dtype."""
    return torch.from_numpy(np.asarray(stored[token.cpu().numpy()])).to(like)


def make(spec: Train, data: TokenData, reference: ReferenceScores | None) -> Criterion:
    """The criterion of a train spec; ``reference`` is there where `needs_reference` says so. Raises TrainerError for
    data of the wrong kind.
    """
    settings: Any = spec.objective
    criterion = _choose(settings, data, reference)
    if data.sequences_per_row != criterion.group:
        kinds = {1: "demonstrations", 2: "preference pairs"}
        raise TrainerError(
            f"objective {settings.name} trains on {kinds[criterion.group]}, "
            f"but {spec.data} holds {kinds[data.sequences_per_row]}."
        )
    return criterion


def _choose(settings: Any, data: TokenData, reference: ReferenceScores | None) -> Criterion:
    if isinstance(settings, FSFT) and reference is not None:
        return FSFTCriterion(data, reference, settings)
    if isinstance(settings, DPO) and reference is not None:
        return DPOCriterion(data, reference, settings)
    return SFTCriterion(data)


def needs_reference(spec: Train) -> bool:
    """Every objective but plain SFT compares with a reference."""
    return isinstance(spec.objective, FSFT | DPO)
