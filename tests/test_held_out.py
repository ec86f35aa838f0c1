"""Held-out rows of a recipe: which keys they touch, what is refused, and that they change no weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import recipe_file, specs
from harness.errors import ConfigError
from harness.plan import Plan, make_plan
from harness.stage import Stage
from harness.store import Store

SFT_EVAL = "data.sft_eval={source: 'builtin:microtasks', split: dev, rows: 6}"
PAIRS_EVAL = "data.preference_eval={source: 'builtin:microtasks', split: dev, rows: 4}"
SMALL = (
    "data.sft.rows=8",
    "data.preference.rows=4",
    "training.batch_size=2",
    "variants={values: {objective: f_sft, divergence: pearson_chi2, form: soft_value}}",
)


def plan(tmp_path: Path, *assignments: str) -> Plan:
    return make_plan(recipe_file.load("smoke", assignments), tmp_path / "downloads", device="cpu")


def trained(made: Plan) -> dict[str, Stage]:
    return {stage.label: stage for stage in made.stages if stage.kind == "train"}


def test_held_out_rows_enter_the_key_of_exactly_the_stages_that_measure_on_them(tmp_path: Path) -> None:
    before, after = plan(tmp_path), plan(tmp_path, PAIRS_EVAL, "training.eval_every=2")
    fresh = {stage.name for stage in after.stages} - {stage.name for stage in before.stages}
    assert {name.split("/")[0] for name in fresh} == {
        "tokenize", "reference", "train", "generate", "judge", "aggregate"
    }  # fmt: skip
    old, new = trained(before), trained(after)
    assert old["sft"].key == new["sft"].key  # no held-out demonstrations: nothing changes before DPO
    assert new["sft+dpo"].identity["eval_every"] == 2
    assert "eval_every" not in new["sft"].identity
    assert len(fresh) == 1 + 2 + 2 * 4  # the rows, a reference and four stages for each of two DPO rows


def test_f_sft_variants_share_the_reference_of_the_held_out_rows(tmp_path: Path) -> None:
    found = trained(plan(tmp_path, SFT_EVAL, "variants.other={objective: f_sft, divergence: jensen_shannon}"))
    assert "eval_reference" not in found["sft"].inputs
    assert found["other"].inputs["eval_reference"].key == found["pearson-chi2"].inputs["eval_reference"].key
    assert found["other"].inputs["eval_reference"].key != found["other"].inputs["reference"].key


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (("training.eval_every=2",), "training.eval_every needs held-out rows"),
        ((SFT_EVAL, "training.eval_every=0"), "training.eval_every"),
        ((SFT_EVAL.replace("dev", "train"),), r'the prompts of 6 of its 6 rows are also in data.sft, .* row "train-'),
        ((PAIRS_EVAL.replace("dev", "preference"),), "data.preference_eval is not held out"),
        ((PAIRS_EVAL, "data.preference=", "preference_stages={none: }"), "data.preference_eval needs data.preference"),
        (("data.sft_evl={source: x, split: y}",), 'unknown key "data.sft_evl". Did you mean "sft_eval"'),
    ],
)
def test_held_out_rows_that_cannot_be_used_are_refused_when_planning(
    tmp_path: Path, assignments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, *assignments)


def run_training(made: Plan, store: Store) -> dict[str, Path]:
    """Every stage of the trainers, in this process; label → directory of the train stages."""
    from trainers.__main__ import run
    from trainers.spec import ADAPTER

    found = {}
    for stage in made.stages:
        if stage.kind not in ("convert", "tokenize", "reference", "train") or "turn" in stage.identity:
            continue
        out = specs.directory(store, stage)
        out.mkdir(parents=True, exist_ok=True)
        if stage.prepare is not None:
            stage.prepare(out)
        run(ADAPTER.validate_python({**specs.trainer_spec(stage, store, "smoke"), "threads": 1}))
        if stage.kind == "train":
            found[stage.label] = out
    return found


def metrics(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_recipes_held_out_loss_is_logged_at_intervals_and_changes_no_weight(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plain = run_training(plan(tmp_path, *SMALL), store)
    watched = run_training(plan(tmp_path, *SMALL, SFT_EVAL, PAIRS_EVAL, "training.eval_every=2"), store)
    assert plain.keys() == watched.keys() == {"values", "values+dpo"}
    for label in plain:
        first, second = (where[label] / "checkpoint" / "model.safetensors" for where in (plain, watched))
        assert first != second
        assert first.read_bytes() == second.read_bytes()
    sft, dpo = (metrics(watched[label]) for label in ("values", "values+dpo"))
    assert [row["step"] for row in sft if "eval_loss" in row] == [2, 4]
    assert [row["step"] for row in dpo if "eval_accuracy" in row] == [2]
    assert {"eval_mean_slope", "eval_mean_d"} <= sft[-1].keys()
    strip = {"seconds"}
    for row, bare in zip(sft, metrics(plain["values"]), strict=True):
        assert {k: v for k, v in row.items() if not k.startswith("eval_") and k not in strip} == {
            k: v for k, v in bare.items() if k not in strip
        }
