"""Every objective on a real model: what microbatches and padding may not change, and what is logged."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers import criteria, lean, loop, objectives
from trainers.checkpoint import load_model
from trainers.data import TokenData
from trainers.spec import ADAPTER

F_SFT = {"name": "f_sft", "divergence": "jensen_shannon"}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "sft": {"name": "sft"},
    "token": F_SFT,
    "sequence": {**F_SFT, "form": "sequence", "beta": 0.1},
    "soft_value": {**F_SFT, "form": "soft_value"},
    "raw": {**F_SFT, "form": "soft_value", "gauge": "raw"},
    "dpo": {"name": "dpo", "label_smoothing": 0.1},
    "f_dpo": {"name": "dpo", "divergence": "alpha", "alpha": 0.5},
}
Make = Callable[..., loop.Trainer]


@pytest.fixture
def make(
    tiny_checkpoint: Path, talk_data: Path, preference_data: Path, references: dict[str, Path], tmp_path: Path
) -> Make:
    """A trainer of an objective; its policy is ``moved`` away from the reference by that much noise."""

    def go(objective: str, dtype: torch.dtype = torch.float64, moved: float = 0.02, **more: Any) -> loop.Trainer:
        pairs = OBJECTIVES[objective]["name"] == "dpo"
        spec = {
            "kind": "train", "model": str(tiny_checkpoint), "output": str(tmp_path),
            "data": str(preference_data if pairs else talk_data),
            "reference": str(references["preference" if pairs else "talk"]),
            "objective": OBJECTIVES[objective], "learning_rate": 1e-3, "batch_size": 8, "autocast": None, **more,
        }  # fmt: skip
        trainer = loop.Trainer(ADAPTER.validate_python(spec), tmp_path)
        trainer.model.to(dtype)
        move(trainer.model, moved)
        return trainer

    return go


@torch.no_grad()
def move(model: Any, by: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter += by * torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)


def weights(model: Any, *, gradient: bool = False) -> Tensor:
    return torch.cat([(each.grad if gradient else each.detach()).flatten() for each in model.parameters()])


def accumulate(trainer: loop.Trainer) -> tuple[float, Tensor]:
    loss, _ = trainer.accumulate(list(range(len(trainer.data))))
    return loss, weights(trainer.model, gradient=True)


@pytest.mark.parametrize("objective", [*OBJECTIVES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_one_two_or_eight_microbatches_give_the_same_loss_and_gradient(
    make: Make, objective: str, dtype: torch.dtype, tolerance: float
) -> None:
    found, counts = [], set()
    for budget in (1, 300, 500, 100_000):
        trainer = make(objective, dtype, max_tokens_per_microbatch=budget)
        counts.add(len(list(trainer.data.microbatches(list(range(8)), budget))))
        found.append(accumulate(trainer))
    assert {1, 8} < counts
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=tolerance)
        torch.testing.assert_close(gradient, found[0][1], atol=tolerance * float(found[0][1].abs().max()), rtol=0)


@pytest.mark.parametrize("objective", [*OBJECTIVES])
def test_packing_to_a_token_budget_equals_a_padded_batch(make: Make, tiny_checkpoint: Path, objective: str) -> None:
    trainer = make(objective, max_tokens_per_microbatch=300)
    loss, gradient = accumulate(trainer)
    # the norms of `transformers` are float32 inside, also in a float64 model; tests/trainers/test_lean.py compares them
    model = lean.slim(load_model(tiny_checkpoint, torch.float64, "cpu"))
    move(model, 0.02)
    plain = padded_loss(model, trainer)
    plain.backward()
    assert loss == pytest.approx(float(plain.detach()), rel=1e-10)
    torch.testing.assert_close(weights(model, gradient=True), gradient, atol=1e-10, rtol=1e-10)


def padded_loss(model: Any, trainer: loop.Trainer) -> Tensor:
    """The objective by its formula, turn by turn, from full logits of one padded batch."""
    data, criterion = trainer.data, trainer.criterion
    rows = [data.input_ids[data.offsets[s] : data.offsets[s + 1]].astype("int64") for s in range(data.sequences)]
    ids = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
    attention = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True)
    logits = model(input_ids=ids, attention_mask=attention).logits
    logprobs, normaliser = logits.log_softmax(-1), logits.logsumexp(-1)
    parts = []
    for s in range(data.sequences):
        begin, mask = int(data.offsets[s]), data.loss_mask[data.offsets[s] : data.offsets[s + 1]]
        for turn in runs(mask.tolist()):
            own = torch.stack([logprobs[s, t - 1, ids[s, t]] for t in turn])
            if isinstance(criterion, criteria.SFTCriterion) and not isinstance(criterion, criteria.FSFTCriterion):
                parts.append(-own.sum())
                continue
            base = torch.tensor([float(criterion.reference.logprob[begin + t]) for t in turn], dtype=torch.float64)
            if isinstance(criterion, criteria.DPOCriterion):
                parts.append(torch.stack([own.sum(), base.sum()]))
                continue
            states = [t - 1 for t in turn]
            if not data.turn_ends[begin + turn[-1]]:
                states.append(turn[-1])
            stored = [0.0 if criterion.gauge == "raw" else float(criterion.reference.logsumexp[begin + t])
                      for t in states]  # fmt: skip
            value = criterion.beta * (normaliser[s, states] - torch.tensor(stored, dtype=torch.float64))
            parts.append(turn_loss(criterion, own - base, value))
    if isinstance(criterion, criteria.DPOCriterion):
        policy, base = (torch.stack([part[i] for part in parts]).view(-1, 2) for i in (0, 1))
        smooth = criterion.label_smoothing
        return objectives.dpo_loss(
            policy, base, criterion.beta, smooth, criterion.divergence, criterion.alpha
        ) / len(policy)  # fmt: skip
    return torch.stack(parts).sum() / int(data.loss_mask.sum())


def turn_loss(criterion: criteria.FSFTCriterion, difference: Tensor, value: Tensor) -> Tensor:
    beta, phi = criterion.beta, criterion.divergence.phi
    if criterion.form == "token":
        return -phi(beta * difference).sum() / beta
    if criterion.form == "sequence":
        return -phi(beta * difference.sum()) / beta
    if len(value) == len(difference):
        value = torch.cat([value, value.new_zeros(1)])
    return (-phi(beta * difference + value[:-1] - value[1:]).sum() + value[0] - value[-1]) / beta


def runs(mask: list[int]) -> list[list[int]]:
    """Runs of ones, as lists of their places."""
    found: list[list[int]] = []
    for place, kept in enumerate(mask):
        if kept and place and mask[place - 1]:
            found[-1].append(place)
        elif kept:
            found.append([place])
    return found


@pytest.mark.parametrize("objective", ["sequence", "soft_value", "dpo"])
def test_weights_after_five_steps_do_not_depend_on_the_microbatches(make: Make, objective: str) -> None:
    ended = []
    for budget in (1, 100_000):
        trainer = make(objective, epochs=5, max_tokens_per_microbatch=budget, batch_size=4)
        for step in range(5):
            trainer._step(step)
        ended.append(weights(trainer.model))
    torch.testing.assert_close(*ended, atol=1e-8, rtol=0)


@pytest.mark.parametrize("objective", ["token", "sequence", "soft_value"])
def test_at_the_reference_the_models_gradient_is_sfts_and_all_pull_is_left(make: Make, objective: str) -> None:
    _, plain = accumulate(make("sft", moved=0.0))
    trainer = make(objective, moved=0.0)
    _, metrics = trainer.accumulate(list(range(len(trainer.data))))
    found = weights(trainer.model, gradient=True)
    # the reference is stored in float32, the policy computes in float64
    torch.testing.assert_close(found, plain, atol=2e-6 * float(plain.abs().max()), rtol=0)
    assert metrics["mean_slope"] == pytest.approx(1, abs=1e-5)
    assert metrics["mean_d"] == pytest.approx(0, abs=1e-5)
    assert metrics["tangent_rate"] == 0


@pytest.mark.parametrize("objective", ["token", "sequence", "soft_value"])
def test_every_form_logs_pull_drift_and_the_rate_of_the_tangent_per_token(make: Make, objective: str) -> None:
    trainer = make(objective, moved=0.1)
    loss, metrics = trainer.accumulate(list(range(len(trainer.data))))
    assert metrics.keys() == {"mean_slope", "mean_d", "std_d", "tangent_rate", "nll"}
    assert metrics["mean_d"] < -0.1  # noise makes the demonstrations less likely
    assert metrics["std_d"] > 0.1
    assert metrics["mean_slope"] > 1.01  # so the pull towards them grows
    assert 0 <= metrics["tangent_rate"] <= 1
    sft, _ = make("sft", moved=0.1).accumulate(list(range(len(trainer.data))))
    assert metrics["nll"] == pytest.approx(sft, rel=1e-9)
    assert loss > -metrics["mean_d"]  # no loss is below total variation's


def test_the_raw_gauge_is_warned_of_and_does_not_start_as_sft_does(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    slopes = {}
    for gauge in ("soft_value", "raw"):
        trainer = make(gauge, moved=0.0)
        _, metrics = trainer.accumulate(list(range(len(trainer.data))))
        slopes[gauge] = metrics["mean_slope"]
    assert slopes["soft_value"] == pytest.approx(1, abs=1e-5)
    assert abs(slopes["raw"] - 1) > 0.01
    assert capsys.readouterr().err.count("gauge raw") == 1


@pytest.mark.parametrize(
    "shape",
    [{}, {"label_smoothing": 0.2}, *({"divergence": name} for name in ("forward_kl", "jensen_shannon")),
     {"divergence": "alpha", "alpha": 0.5}],
)  # fmt: skip
def test_every_preference_cell_starts_at_log_two_and_with_the_base_as_reference_it_does_not(
    make: Make, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any]
) -> None:
    monkeypatch.setitem(OBJECTIVES, "dpo", {"name": "dpo", **shape})
    start, metrics = make("dpo", moved=0.0).accumulate(list(range(8)))
    assert start == pytest.approx(math.log(2), abs=1e-5)
    assert metrics["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert metrics["reward_chosen"] == pytest.approx(0, abs=1e-5)
    # a policy that has been trained since, against the reference of the base
    wrong, _ = make("dpo", moved=0.05).accumulate(list(range(8)))
    assert abs(wrong - math.log(2)) > 1e-3


def test_demonstrations_cannot_be_trained_on_as_pairs_nor_pairs_as_demonstrations(
    make: Make, preference_data: Path
) -> None:
    from trainers.errors import TrainerError

    with pytest.raises(TrainerError, match=r"objective sft trains on demonstrations, but .* holds preference pairs"):
        make("sft", data=str(preference_data), reference=None)
    assert TokenData(preference_data).sequences_per_row == 2
