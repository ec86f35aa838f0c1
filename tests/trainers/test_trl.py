"""Loss and gradient against TRL's trainers, driven through their own `compute_loss` on the same rows in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainers.conftest import preference_rows
from trainers import loop
from trainers.checkpoint import load_model, load_tokenizer
from trainers.spec import ADAPTER

pytest.importorskip("trl", reason="TRL is installed for the tests")
pytestmark = pytest.mark.filterwarnings("ignore")
SMOOTHING = 0.2


def prompt_of(row: dict[str, Any]) -> str:
    """Rendered by hand, so that both sides see the same tokens."""
    return f"<|im_start|>user\n{row['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def moved_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that is not its reference."""
    from trainers.checkpoint import save_checkpoint

    model = load_model(tiny_checkpoint, torch.float32, "cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    target = tmp_path_factory.mktemp("moved") / "checkpoint"
    save_checkpoint(model, tiny_checkpoint, target, torch.float32)
    return target


def ours(checkpoint: Path, data: Path, reference: Path | None, objective: dict[str, Any]) -> tuple[float, Tensor]:
    """Loss and gradient of the whole data as one global batch, in microbatches of a few rows."""
    spec = {
        "kind": "train", "model": str(checkpoint), "data": str(data), "output": str(data / "unused"),
        "reference": str(reference) if reference else None, "objective": objective, "learning_rate": 1.0,
        "batch_size": 8, "autocast": None, "max_tokens_per_microbatch": 400,
    }  # fmt: skip
    trainer = loop.Trainer(ADAPTER.validate_python(spec), data / "unused")
    loss, _ = trainer.accumulate(list(range(len(trainer.data))))
    return loss, gradient(trainer.model)


def gradient(model: Any) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def theirs(trainer: Any) -> tuple[float, Tensor]:
    """Loss and gradient of TRL's trainer on its first batch, which holds all rows."""
    loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    loss.backward()
    return float(loss.detach()), gradient(trainer.model)


def assert_equal(mine: tuple[float, Tensor], other: tuple[float, Tensor], tolerance: float = 1e-5) -> None:
    largest = float(other[1].abs().max())
    assert largest > 1e-3  # nothing equals nothing
    assert mine[0] == pytest.approx(other[0], rel=tolerance, abs=tolerance)
    torch.testing.assert_close(mine[1], other[1], atol=tolerance * largest, rtol=0)


def common(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder), "report_to": [], "use_cpu": True, "bf16": False, "max_length": None,
        "per_device_train_batch_size": 8, "gradient_checkpointing": False, "disable_dropout": True,
    }  # fmt: skip


def test_sft_loss_and_gradient_equal_those_of_trls_trainer(
    moved_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": prompt_of(row), "completion": row["chosen"]} for row in preference_rows()]
    settings = common(tmp_path)
    settings.pop("disable_dropout")
    trainer = SFTTrainer(
        model=load_model(moved_checkpoint, torch.float32, "cpu"),
        args=SFTConfig(**settings, completion_only_loss=True),
        processing_class=load_tokenizer(moved_checkpoint),
        train_dataset=Dataset.from_list(rows),
    )
    assert_equal(ours(moved_checkpoint, sft_data, None, {"name": "sft"}), theirs(trainer))


DPO_CASES = {
    "dpo": ({}, {}),
    "forward_kl": ({"divergence": "forward_kl"}, {"f_divergence_type": "forward_kl"}),
    "jensen_shannon": ({"divergence": "jensen_shannon"}, {"f_divergence_type": "js_divergence"}),
    "alpha 0.5": (
        {"divergence": "alpha", "alpha": 0.5},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.5},
    ),
    "alpha 2": (
        {"divergence": "alpha", "alpha": 2.0},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 2.0},
    ),
    "alpha 1": (
        {"divergence": "alpha", "alpha": 1.0},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1.0},
    ),
    # TRL's sigmoid loss takes no smoothing; with A = -logsigmoid(bD), B = -logsigmoid(-bD) its "robust" loss is
    # ((1-e) A - e B) / (1-2e), so 2 (1-e) A - (1-2e) robust = (1-e) A + e B, which is the smoothed loss
    "smoothed": (
        {"label_smoothing": SMOOTHING},
        {
            "loss_type": ["sigmoid", "robust"],
            "loss_weights": [2 * (1 - SMOOTHING), -(1 - 2 * SMOOTHING)],
            "label_smoothing": SMOOTHING,
        },
    ),
}


@pytest.fixture
def compare(
    tiny_checkpoint: Path, moved_checkpoint: Path, preference_data: Path, references: dict[str, Path], tmp_path: Path
) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = [
        {"prompt": prompt_of(row), "chosen": row["chosen"], "rejected": row["rejected"]} for row in preference_rows()
    ]

    def go(shape: dict[str, Any], their_shape: dict[str, Any]) -> tuple[Any, Any]:
        trainer = DPOTrainer(
            model=load_model(moved_checkpoint, torch.float32, "cpu"),
            ref_model=load_model(tiny_checkpoint, torch.float32, "cpu"),
            args=DPOConfig(**common(tmp_path), beta=0.1, **their_shape),
            processing_class=load_tokenizer(tiny_checkpoint),
            train_dataset=Dataset.from_list(rows),
        )
        objective = {"name": "dpo", "beta": 0.1, **shape}
        return ours(moved_checkpoint, preference_data, references["preference"], objective), theirs(trainer)

    return go


@pytest.mark.parametrize("case", [*DPO_CASES])
def test_preference_loss_and_gradient_equal_those_of_trls_trainer(compare: Any, case: str) -> None:
    # a log-ratio is a difference of sums of about -400, where a float32 step is 3e-5: exp of it has that relative error
    assert_equal(*compare(*DPO_CASES[case]), tolerance=2e-4 if "divergence" in DPO_CASES[case][0] else 1e-5)


def test_the_alpha_scores_exponent_is_bounded_where_trl_bounds_it(compare: Any) -> None:
    steep = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": -400.0}
    mine, other = compare({"divergence": "alpha", "alpha": -400.0}, steep)
    assert mine[0] == pytest.approx(other[0], rel=1e-5)
    assert mine[0] < 10  # exponents of both sides are at the bound; without it the difference is inf - inf
    assert bool(mine[1].isfinite().all())
