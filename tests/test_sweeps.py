"""Axes of a recipe: names, what is shared between cells, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import explain, recipe_file, sweeps
from harness.errors import ConfigError
from harness.plan import Plan, make_plan
from harness.scan import Scan
from harness.store import Store

SWEPT = (
    "variants={sft: {objective: sft, sweep: {learning_rate: [1.0e-4, 5e-5, 2.0e-5]}},"
    " f: {objective: f_sft, sweep: {divergence: [pearson_chi2, jensen_shannon], beta: [0.1, 0.3]}}}",
    "preference_stages={none: , dpo: {objective: dpo, sweep: {beta: [0.05, 0.1], learning_rate: [1e-5, 5e-6]}}}",
    "seeds=[0, 1, 2]",
)


def plan(tmp_path: Path, *assignments: str) -> Plan:
    return make_plan(recipe_file.load("smoke", assignments), tmp_path / "downloads", device="cpu")


def test_axes_become_cells_with_readable_names(tmp_path: Path) -> None:
    recipe = recipe_file.load("smoke", SWEPT)
    assert [*recipe.cells] == [
        *("sft-lr1e-4", "sft-lr5e-5", "sft-lr2e-5"),
        *("f-pearson-chi2-b0.1", "f-pearson-chi2-b0.3", "f-jensen-shannon-b0.1", "f-jensen-shannon-b0.3"),
    ]
    assert [*recipe.stages] == ["none", "dpo-b0.05-lr1e-5", "dpo-b0.05-lr5e-6", "dpo-b0.1-lr1e-5", "dpo-b0.1-lr5e-6"]
    made = plan(tmp_path, *SWEPT)
    assert len(made.rows) == 1 + 7 * 5 * 3
    row = next(row for row in made.rows if row.name == "f-jensen-shannon-b0.3+dpo-b0.05-lr5e-6@2")
    told = {key: row.description[key] for key in ("divergence", "beta", "dpo_beta", "dpo_learning_rate", "seed")}
    assert told == {
        "divergence": "jensen_shannon",
        "beta": 0.3,
        "dpo_beta": 0.05,
        "dpo_learning_rate": 5e-6,
        "seed": 2,
    }


def test_what_cells_share_runs_once(tmp_path: Path) -> None:
    made = plan(tmp_path, *SWEPT)
    counts = made.counts()
    sft = 7 * 3
    assert counts["train"] == sft + sft * 4
    assert counts["reference"] == 1 + sft  # the base once for every f-SFT cell and seed, each SFT checkpoint once
    assert counts["tokenize"] == 3
    assert counts["convert"] == 1
    with_reference = [stage for stage in made.stages if stage.kind == "train" and "reference" in stage.inputs]
    f_sft = [stage for stage in with_reference if stage.identity["objective"]["name"] == "f_sft"]
    assert len({stage.inputs["reference"].key for stage in f_sft}) == 1
    for stage in with_reference:  # every cell's reference is the checkpoint that it starts from
        assert stage.inputs["reference"].inputs["model"].key == stage.inputs["model"].key


def test_a_sweep_of_one_value_has_the_keys_of_the_plain_setting(tmp_path: Path) -> None:
    plain = plan(tmp_path, "variants.sft.learning_rate=5.0e-4")
    swept = plan(tmp_path, "variants.sft.sweep={learning_rate: [5.0e-4]}")
    assert {s.name for s in plain.stages if s.kind == "train"} == {s.name for s in swept.stages if s.kind == "train"}


def test_another_value_on_an_axis_renames_and_reruns_nothing(tmp_path: Path) -> None:
    few = plan(tmp_path, "variants.sft.sweep={learning_rate: [1e-4, 2e-5]}")
    more = plan(tmp_path, "variants.sft.sweep={learning_rate: [1e-4, 5e-5, 2e-5]}")
    assert {row.name for row in few.rows} < {row.name for row in more.rows}
    assert {stage.name for stage in few.stages} < {stage.name for stage in more.stages}


def test_a_shared_axis_reaches_the_variants_that_take_it_and_do_not_set_it(tmp_path: Path) -> None:
    recipe = recipe_file.load(
        "smoke",
        (
            "variants.fixed={objective: sft, learning_rate: 3.0e-4}",
            "sweep={learning_rate: [1e-3, 1e-4], beta: [0.1, 0.3]}",
        ),
    )
    assert [*recipe.cells] == [
        *("sft-lr1e-3", "sft-lr1e-4"),
        *(f"pearson-chi2-{rate}-{beta}" for rate in ("lr1e-3", "lr1e-4") for beta in ("b0.1", "b0.3")),
        "fixed",
    ]


def test_weight_dtype_can_be_an_axis() -> None:
    recipe = recipe_file.load("smoke", ("variants.sft.sweep={weight_dtype: [float32]}",))
    assert recipe.cells["sft-float32"].weight_dtype == "float32"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("variants.sft.sweep={learning_rat: [1]}", 'no setting "learning_rat". Did you mean "learning_rate"'),
        ("variants.sft.sweep={learning_rate: []}", "has no values"),
        ("variants.sft.sweep={learning_rate: [-1]}", "greater than 0"),
        ("variants.sft.sweep={learning_rate: [1e-4, 0.0001]}", "both called"),
        ("variants.sft.sweep={beta: [0.1]}", "objective sft takes no beta"),
        ("sweep={max_lenght: [3]}", 'no setting "max_lenght"'),
        ("variants={sft: {objective: sft, sweep: {learning_rate: [1e-4]}}, sft-lr1e-4: {}}", "two different cells"),
        ("preference_stages.dpo.sweep={max_steep: [1]}", 'no setting "max_steep"'),
    ],
)
def test_a_wrong_axis_is_refused_with_its_name(assignment: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe_file.load("smoke", (assignment,))


def test_a_shared_axis_that_reaches_nobody_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="reaches no variant"):
        recipe_file.load("smoke", ("variants={sft: {objective: sft}}", "sweep={beta: [0.1]}"))


@given(st.floats(min_value=1e-300, max_value=1e300) | st.integers(min_value=1, max_value=10**12))
def test_a_values_text_names_that_very_number(value: float) -> None:
    assert float(sweeps.number(value)) == value


def test_states_by_one_listing_are_the_states_asked_one_by_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = plan(tmp_path)
    done, partial, held, *_ = made.stages
    for stage in (done, partial, held):
        store.path(stage.kind, stage.key).mkdir(parents=True)
    (store.path(done.kind, done.key) / "manifest.json").write_text(f'{{"key": "{done.key}"}}')
    with store.lock(held.kind, held.key):
        scan = Scan(store)
        found = [scan.state(stage.kind, stage.key) for stage in made.stages]
        assert found == [store.state(stage.kind, stage.key) for stage in made.stages]
    assert found[:4] == ["done", "partial", "running", "absent"]
    assert [item.state for item in explain.states(made, store)][:4] == ["done", "partial", "partial", "absent"]
