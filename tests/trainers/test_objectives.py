"""Identities of the objectives (no trust needed), and equality with a library that others wrote."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers import objectives
from trainers.checkpoint import load_model
from trainers.data import TokenData
from trainers.divergences import TABLE, Divergence
from trainers.logprobs import Microbatch, response_logprobs


def tokens(seed: int, n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = -5 * torch.rand(n, generator=generator, dtype=torch.float64)
    logprobs = reference + 2 * torch.randn(n, generator=generator, dtype=torch.float64)
    return logprobs.requires_grad_(), reference


def token_loss(logprobs: torch.Tensor, reference: torch.Tensor, divergence: Divergence, beta: float) -> torch.Tensor:
    return objectives.f_sft_loss(objectives.token_reward(logprobs, reference, beta), divergence, beta)


@pytest.mark.parametrize("name", [*TABLE])
def test_at_the_reference_every_f_sft_gradient_is_sfts(name: str) -> None:
    _, reference = tokens(0)
    logprobs = reference.clone().requires_grad_()
    loss = token_loss(logprobs, reference, Divergence(name), beta=0.3)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    torch.testing.assert_close(gradient, -torch.ones_like(gradient), atol=1e-12, rtol=0)


def test_total_variation_is_sft_everywhere_up_to_a_constant() -> None:
    logprobs, reference = tokens(1)
    ours = token_loss(logprobs, reference, Divergence("total_variation"), beta=0.7)
    plain = objectives.sft_loss(logprobs)
    assert (ours - plain).item() == pytest.approx(float(reference.sum()), rel=1e-12)
    for gradient in torch.autograd.grad(ours, logprobs):
        torch.testing.assert_close(gradient, -torch.ones_like(gradient))


@pytest.mark.parametrize("name", [*TABLE])
def test_no_f_sft_loss_is_below_the_total_variation_loss(name: str) -> None:
    logprobs, reference = tokens(2)
    floor = token_loss(logprobs, reference, Divergence("total_variation"), beta=0.3)
    loss = token_loss(logprobs, reference, Divergence(name), beta=0.3)
    assert loss.item() >= floor.item() - 1e-9


def test_the_gradient_of_f_sft_weighs_each_token_by_the_slope() -> None:
    logprobs, reference = tokens(3)
    divergence = Divergence("jensen_shannon")
    (gradient,) = torch.autograd.grad(token_loss(logprobs, reference, divergence, beta=0.3), logprobs)
    expected = -divergence.slope(0.3 * (logprobs.detach() - reference))
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=1e-12)


def test_dpo_starts_at_log_two_when_the_reference_is_the_policy_and_not_otherwise() -> None:
    policy = torch.randn(6, 2, dtype=torch.float64)
    assert float(objectives.dpo_loss(policy, policy, 0.1)) / 6 == pytest.approx(math.log(2), abs=1e-12)
    other = policy + torch.randn(6, 2, dtype=torch.float64)
    assert abs(float(objectives.dpo_loss(policy, other, 0.1)) / 6 - math.log(2)) > 1e-3


def test_label_smoothing_of_one_half_less_a_bit_mixes_both_directions() -> None:
    policy, reference = torch.randn(4, 2, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)
    forward = objectives.dpo_loss(policy, reference, 0.5)
    backward = objectives.dpo_loss(policy.flip(1), reference, 0.5)
    smoothed = objectives.dpo_loss(policy, reference, 0.5, label_smoothing=0.2)
    assert float(smoothed) == pytest.approx(float(0.8 * forward + 0.2 * backward), rel=1e-12)


@pytest.fixture
def pairs(preference_data: Path) -> TokenData:
    return TokenData(preference_data, group=2)


@pytest.fixture
def batch(pairs: TokenData) -> Microbatch:
    return next(pairs.microbatches(list(range(len(pairs))), 1_000_000))


def padded(data: TokenData) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids, attention mask, response mask) of all sequences, each (B, T), as other libraries take them."""
    width = max(data.length(sequence) for sequence in range(data.sequences))
    ids, attention, response = (torch.zeros(data.sequences, width, dtype=torch.int64) for _ in range(3))
    for line in range(data.sequences):
        span = slice(int(data.offsets[line]), int(data.offsets[line + 1]))
        length = data.length(line)
        ids[line, :length] = torch.from_numpy(data.input_ids[span].astype("int64"))
        response[line, :length] = torch.from_numpy(data.loss_mask[span].astype("int64"))
        attention[line, :length] = 1
    return ids, attention, response


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.filterwarnings("ignore")
def test_sft_loss_and_gradient_equal_trls(tiny_checkpoint: Path, batch: Microbatch, pairs: TokenData) -> None:
    from transformers.loss.loss_utils import ForCausalLMLoss

    trl = pytest.importorskip("trl", reason="TRL is installed for the tests")
    assert trl.SFTTrainer  # its SFT loss is the one that transformers' models compute from labels
    model = load_model(tiny_checkpoint, torch.float32, "cpu")
    ids, attention, mask = padded(pairs)
    labels = torch.where(mask.bool(), ids, -100)
    logits = model(input_ids=ids, attention_mask=attention).logits
    theirs = ForCausalLMLoss(logits, labels, model.config.vocab_size, num_items_in_batch=mask.sum())
    their_gradient = gradients(model, theirs)
    packed = load_model(tiny_checkpoint, torch.float32, "cpu", packed=True)
    ours = objectives.sft_loss(response_logprobs(packed, batch, None)) / mask.sum()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(packed, ours), their_gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_dpo_loss_and_gradient_equal_trls(tiny_checkpoint: Path, batch: Microbatch, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    model, reference = (load_model(tiny_checkpoint, torch.float32, "cpu") for _ in range(2))
    packed, packed_reference = (load_model(tiny_checkpoint, torch.float32, "cpu", packed=True) for _ in range(2))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    packed.load_state_dict(model.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    config = DPOConfig(
        output_dir=str(tmp_path), beta=0.1, report_to=[], use_cpu=True, bf16=False, per_device_train_batch_size=8,
        label_smoothing=0.0, max_length=None, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=config,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(trl_rows()),
    )
    theirs = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    their_gradient = gradients(trainer.model, theirs)

    def sums(of: Any) -> torch.Tensor:
        values = response_logprobs(of, batch, None)
        return objectives.sequence_sums(values, batch.sequence, len(batch.rows)).view(-1, 2)

    with torch.no_grad():
        fixed = sums(packed_reference)
    ours = objectives.dpo_loss(sums(packed), fixed, 0.1, label_smoothing=0.0) / (len(batch.rows) // 2)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(packed, ours), their_gradient, atol=1e-5, rtol=1e-3)


def trl_rows() -> list[dict[str, Any]]:
    """The preference rows as text, rendered by hand, so that both sides see the same tokens."""
    from tests.trainers.conftest import preference_rows

    return [
        {
            "prompt": f"<|im_start|>user\n{row['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n",
            "chosen": row["chosen"],
            "rejected": row["rejected"],
        }
        for row in preference_rows()
    ]


def test_reference_values_are_nan_exactly_where_nothing_is_trained_on(
    references: dict[str, Path], sft_data: Path
) -> None:
    values = np.load(references["sft"] / "logprobs.npy")
    mask = np.load(sft_data / "loss_mask.npy").astype(bool)
    assert (np.isnan(values) == ~mask).all()
