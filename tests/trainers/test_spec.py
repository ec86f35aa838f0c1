"""Settings of the objectives: defaults that depend on the form, and combinations that are refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainers import spec
from trainers.errors import TrainerError


def read(tmp_path: Path, objective: dict[str, Any]) -> Any:
    values = {"kind": "train", "output": "o", "model": "m", "data": "d", "learning_rate": 1e-3, "objective": objective}
    (tmp_path / "spec.json").write_text(json.dumps(values))
    return spec.read(tmp_path / "spec.json").objective


@pytest.mark.parametrize(("form", "beta"), [("token", 0.3), ("sequence", 0.02), ("soft_value", 0.3)])
def test_beta_follows_the_form_and_is_written_out(tmp_path: Path, form: str, beta: float) -> None:
    objective = {"name": "f_sft", "divergence": "pearson_chi2", "form": form}
    assert read(tmp_path, objective).model_dump()["beta"] == beta
    assert read(tmp_path, objective | {"beta": 0.7}).beta == 0.7


F_SFT = {"name": "f_sft", "divergence": "pearson_chi2"}


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (F_SFT | {"divergence": "hellinger"}, "objective.divergence"),
        (F_SFT | {"form": "tokens"}, "objective.form"),
        (F_SFT | {"beta": 0}, "objective.beta: Input should be greater than 0"),
        (F_SFT | {"beta": -0.1}, "objective.beta: Input should be greater than 0"),
        (F_SFT | {"gauge": "raw"}, "gauge belongs to form soft_value"),
        (F_SFT | {"alpha": 0.5}, "taken by no other"),
        (F_SFT | {"divergence": "alpha"}, "alpha is needed by divergence alpha"),
        (F_SFT | {"divergence": "alpha", "alpha": 1.0}, "alpha 1 is reverse_kl"),
        (F_SFT | {"max_weight": 1.0}, "objective.max_weight"),
        ({"name": "dpo", "beta": -1}, "objective.beta: Input should be greater than 0"),
        ({"name": "dpo", "label_smoothing": 0.5}, "objective.label_smoothing"),
        ({"name": "dpo", "divergence": "total_variation"}, "takes two values only"),
        ({"name": "dpo", "divergence": "pearson_chi2"}, r"its f'\(0\) is finite"),
        ({"name": "dpo", "divergence": "squared_hellinger"}, "write divergence: alpha, alpha: 0.5"),
        ({"name": "dpo", "divergence": "kl"}, "objective.divergence"),
        ({"name": "dpo", "divergence": "alpha"}, "alpha is needed"),
    ],
)
def test_a_wrong_objective_is_refused_by_setting(tmp_path: Path, objective: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainerError, match=said):
        read(tmp_path, objective)
