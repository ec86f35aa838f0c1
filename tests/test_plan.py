from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import explain, recipe_file
from harness.errors import ConfigError
from harness.plan import Plan, make_plan
from harness.store import Store


def plan(tmp_path: Path, *assignments: str, recipe: str = "smoke") -> Plan:
    return make_plan(recipe_file.load(recipe, assignments), tmp_path / "downloads", device="cpu")


def keys(made: Plan, kind: str | None = None) -> set[str]:
    return {stage.name for stage in made.stages if kind in (None, stage.kind)}


def test_the_quickstart_has_eleven_rows_and_shares_what_can_be_shared(tmp_path: Path) -> None:
    made = plan(tmp_path, recipe="quickstart")
    assert len(made.rows) == 11
    counts = made.counts()
    assert counts["train"] == 10
    assert counts["generate"] == counts["judge"] == counts["aggregate"] == 11
    assert counts["reference"] == 1 + 5  # the base once for all f-SFT rows, each SFT checkpoint once for its DPO
    assert counts["convert"] == 1
    assert counts["tokenize"] == 3


def test_the_same_recipe_has_the_same_keys(tmp_path: Path) -> None:
    assert keys(plan(tmp_path)) == keys(plan(tmp_path))


@pytest.mark.parametrize(
    ("assignment", "kinds"),
    [
        ("generate.max_new_tokens=17", {"tokenize", "generate", "judge", "aggregate"}),
        ("generate.temperature=0.5", {"generate", "judge", "aggregate"}),
        ("statistics.seed=1", {"aggregate"}),
        ("title=Other", set()),
        ("training.checkpoint_every=3", set()),
        ("generate.kv_cache_gib=3", set()),
        ("generate.tensor_parallel=1", set()),
        ("variants.pearson-chi2.form=token", set()),  # the default, written out
        ("variants.pearson-chi2.form=sequence", {"train", "reference", "generate", "judge", "aggregate"}),
        ("preference_stages.dpo.divergence=reverse_kl", set()),
        ("preference_stages.dpo.divergence=forward_kl", {"train", "generate", "judge", "aggregate"}),
    ],
)
def test_a_changed_setting_gives_new_keys_exactly_where_it_matters(
    tmp_path: Path, assignment: str, kinds: set[str]
) -> None:
    fresh = keys(plan(tmp_path, assignment)) - keys(plan(tmp_path))
    assert {name.split("/")[0] for name in fresh} == kinds


def test_a_model_split_over_gpus_has_keys_of_its_own_and_is_refused_where_it_cannot_be_split(tmp_path: Path) -> None:
    def planned(device: str, *assignments: str) -> set[str]:
        recipe = recipe_file.load("smoke", ["generate.backend=vllm", *assignments])
        return keys(make_plan(recipe, tmp_path, device))

    fresh = planned("cuda", "generate.tensor_parallel=2") - planned("cuda")
    assert {name.split("/")[0] for name in fresh} == {"generate", "judge", "aggregate"}
    with pytest.raises(ConfigError, match=r"generate\.tensor_parallel: a model is split over 2 GPUs, and this machine"):
        planned("cpu", "generate.tensor_parallel=2")
    with pytest.raises(ConfigError, match="need backend vllm; transformers serves on one device"):
        planned("cuda", "generate.tensor_parallel=2", "generate.backend=transformers")


def test_settings_that_are_not_used_leave_no_trace_in_a_training_stages_identity(tmp_path: Path) -> None:
    (stage, *_) = [stage for stage in plan(tmp_path).stages if stage.kind == "train"]
    assert not {"lora", "compile", "gradient_checkpointing", "tensorboard"} & stage.identity.keys()
    for setting in ("training.gradient_checkpointing=true", "training.lora.rank=4", "training.weight_dtype=bfloat16"):
        changed = [stage for stage in plan(tmp_path, setting).stages if stage.kind == "train"]
        assert not {stage.key for stage in changed} & {stage.key for stage in plan(tmp_path).stages}, setting
    compiled = [stage for stage in plan(tmp_path, "training.compile=true").stages if "compile" in stage.identity]
    assert {stage.kind for stage in compiled} == {"reference", "train"}
    watched = plan(tmp_path, "training.tensorboard=true")
    assert keys(watched) == keys(plan(tmp_path))
    assert all(stage.execution["tensorboard"] for stage in watched.stages if stage.kind == "train")


@pytest.mark.parametrize("assignment", ["variants.sft.weight_dtype=bfloat16_stochastic", "variants.sft.lora.rank=4"])
def test_how_weights_are_kept_is_an_axis_of_the_matrix(tmp_path: Path, assignment: str) -> None:
    before, after = plan(tmp_path), plan(tmp_path, assignment)
    changed = {
        row.name
        for row, other in zip(before.rows, after.rows, strict=True)
        if [stage.key for stage in row.train] != [stage.key for stage in other.train]
    }
    assert changed == {"sft", "sft+dpo"}


def test_forms_share_the_reference_and_defaults_are_written_out(tmp_path: Path) -> None:
    made = plan(tmp_path, "variants.values={objective: f_sft, divergence: alpha, alpha: 0.5, form: soft_value}")
    stages = {stage.label: stage for stage in made.stages if stage.kind == "train"}
    assert stages["values"].inputs["reference"] is not None
    assert stages["values"].inputs["reference"].key == stages["pearson-chi2"].inputs["reference"].key
    objective = stages["values"].identity["objective"]
    assert (objective["beta"], objective["gauge"], objective["alpha"]) == (0.3, "reference", 0.5)
    token = stages["pearson-chi2"].identity["objective"]
    assert (token["form"], token["beta"]) == ("token", 0.3)
    assert not {"gauge", "alpha"} & token.keys()
    row = next(row for row in made.rows if row.name == "values")
    assert (row.description["form"], row.description["alpha"]) == ("soft_value", 0.5)


def test_loss_on_every_turn_changes_the_demonstrations_and_not_the_pairs(tmp_path: Path) -> None:
    before, after = (keys(plan(tmp_path, *more), "tokenize") for more in ((), ("training.loss_on=all",)))
    assert len(before & after) == 2


def test_every_objective_of_a_recipe_is_one_that_the_trainers_take(tmp_path: Path) -> None:
    from harness.config import PreferenceStage, Variant
    from trainers.spec import ADAPTER

    variants = [
        Variant(objective="f_sft", divergence=divergence, form=form, alpha=0.5 if divergence == "alpha" else None)
        for divergence in ("total_variation", "pearson_chi2", "squared_hellinger", "jensen_shannon", "reverse_kl",
                           "forward_kl", "alpha")
        for form in ("token", "sequence", "soft_value")
    ]  # fmt: skip
    stages = [
        PreferenceStage(divergence=divergence, alpha=0.5 if divergence == "alpha" else None)
        for divergence in ("reverse_kl", "forward_kl", "jensen_shannon", "alpha")
    ]
    for settings in [each.settings() for each in (*variants, *stages)]:
        spec = {"kind": "train", "output": "o", "model": "m", "data": "d", "learning_rate": 1, "objective": settings}
        taken = ADAPTER.validate_python(spec).objective.model_dump()
        assert {name: taken[name] for name in settings} == settings


def test_one_variants_learning_rate_touches_its_rows_only(tmp_path: Path) -> None:
    before, after = plan(tmp_path), plan(tmp_path, "variants.sft.learning_rate=0.002")
    changed = {
        row.name
        for row, other in zip(before.rows, after.rows, strict=True)
        if row.primary.aggregate.key != other.primary.aggregate.key
    }
    assert changed == {"sft", "sft+dpo"}


def test_dpo_settings_leave_the_sft_stages_and_their_reference_cache_alone(tmp_path: Path) -> None:
    before, after = plan(tmp_path), plan(tmp_path, "preference_stages.dpo.beta=0.5")
    assert keys(before, "reference") == keys(after, "reference")
    assert len(keys(before, "train") & keys(after, "train")) == 2


def test_seeds_multiply_the_cells_and_name_them(tmp_path: Path) -> None:
    made = plan(tmp_path, "seeds=[0,1]")
    assert [row.name for row in made.rows][:3] == ["base", "sft@0", "sft+dpo@0"]
    assert len(made.rows) == 1 + 2 * 4


def test_stages_come_after_what_they_read(tmp_path: Path) -> None:
    seen: set[str] = set()
    for stage in plan(tmp_path).stages:
        assert {needed.name for needed in stage.inputs.values()} <= seen
        seen.add(stage.name)


def test_the_plan_says_what_changed_since_the_last_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = plan(tmp_path)
    for stage in before.stages:
        fake_manifest(store, stage)
    after = plan(tmp_path, "variants.sft.learning_rate=0.002")
    states = {item.stage.label: item for item in explain.states(after, store) if item.stage.kind == "train"}
    assert states["sft"].why == "learning_rate 0.001 → 0.002"
    assert states["sft+dpo"].why.startswith("follows ")
    assert states["pearson-chi2"].state == "done"


def fake_manifest(store: Store, stage: object) -> None:
    from harness import specs
    from harness.store import write_manifest

    folder = specs.directory(store, stage)  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    write_manifest(folder, specs.record(stage, "smoke"), [], {}, "2026-01-01T00:00:00Z", 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (("judge.baseline=sfd",), 'no row "sfd". Did you mean "sft"'),
        (("base=random:tiny-lama",), 'Did you mean "tiny-llama"'),
        (("base=./nothing-here",), "neither a directory nor a GGUF file"),
        (("data.sft.source=builtin:microtask",), 'Did you mean "microtasks"'),
        (("data.sft.split=trian",), 'Did you mean "train"'),
        (("data.sft.source=missing.jsonl",), "is not a file"),
        (("generate.dtype=bfloat16",), "not served on a CPU"),
        (("generate.max_new_tokens=4000",), "leaves no room"),
        (("variants.pearson-chi2.divergence=pearson",), "variants.pearson-chi2.divergence"),
        (("variants.pearson-chi2.beta=0",), "greater than 0"),
        (("variants.pearson-chi2.gauge=raw",), "gauge belongs to form soft_value"),
        (("variants.pearson-chi2.alpha=0.5",), "taken by no other"),
        (("preference_stages.dpo.beta=-1",), "greater than 0"),
        (("preference_stages.dpo.divergence=squared_hellinger",), "write divergence: alpha, alpha: 0.5"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    tmp_path: Path, assignments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, *assignments)


USER = {"role": "user", "content": "q"}
TALK = {"messages": [USER, {"role": "assistant", "content": "a"}]}


@pytest.mark.parametrize(
    ("data", "rows", "said"),
    [
        ("sft", [TALK, {"messages": [USER]}], "row 1: not a sft row: it has no assistant turn"),
        (
            "preference",
            [{"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "q", "chosen": "a", "rejected": "a"}],
            "row 1: not a preference row: chosen and rejected are the same text",
        ),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused_by_number_before_anything_runs(
    tmp_path: Path, data: str, rows: list[dict[str, object]], said: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match=said):
        plan(tmp_path, f"data.{data}={{source: '{path}', split: train}}")


def test_a_recipe_may_have_several_benchmarks_each_with_settings_of_its_own(tmp_path: Path) -> None:
    one = "{source: 'builtin:microtasks', split: eval, rows: 24}"
    two = "{source: 'builtin:microtasks', split: dev, rows: 12, generate: {max_new_tokens: 8}}"
    made = plan(tmp_path, "benchmark=", f"benchmarks={{main: {one}, short: {two}}}")
    assert made.prompt_counts == {"main": 24, "short": 12}
    row = made.rows[0]
    assert row.primary.benchmark == "main"
    lengths = {name: e.generate.identity["sampling"]["max_new_tokens"] for name, e in row.evaluations.items()}
    assert lengths == {"main": 16, "short": 8}
    assert made.counts()["aggregate"] == 2 * len(made.rows)


def test_a_recipe_with_one_benchmark_and_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="either benchmark"):
        plan(tmp_path, "benchmarks={more: {source: 'builtin:microtasks'}}")
