"""``bridgebench analyze`` from the command line: targets, caching, tables, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness import files, specs
from harness.analysis import held_out, stages, targets
from harness.cli import bridgebench
from harness.config import DataSource
from harness.data import sources
from harness.errors import ConfigError
from harness.stage import Stage
from harness.store import Store

REFERENCE = ["--reference", "random:tiny-llama"]


@pytest.fixture(scope="module")
def moved(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model a small random step away from itself."""
    import torch

    from trainers.checkpoint import load_model, save_checkpoint

    model = load_model(tiny_checkpoint, torch.float32, "cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    target = tmp_path_factory.mktemp("moved") / "moved"
    save_checkpoint(model, tiny_checkpoint, target, torch.float32)
    return target


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def invoke(results: Path, *arguments: Any) -> Result:
    return CliRunner().invoke(bridgebench, ["--results", str(results), "analyze", *map(str, arguments)])


def analyze_keys(results: Path) -> dict[str, int]:
    return {
        key: (Store(results).path(kind, key) / "manifest.json").stat().st_mtime_ns
        for kind, key in Store(results).stages()
    }


def test_rewards_of_a_checkpoint_and_of_its_reference_are_measured_once_and_drawn(
    results: Path, moved: Path, tmp_path: Path
) -> None:
    call = ["rewards", moved, "random:tiny-llama", *REFERENCE, "--limit", 12, "--beta", 0.5]
    done = invoke(results, *call, "--json", "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    own, self_ = report["rows"]
    assert (own["row"], self_["row"]) == ("moved", "random:tiny-llama")
    assert self_["accuracy"]["estimate"] == 50  # a policy against itself: every pair is a tie
    assert self_["margin"]["estimate"] == self_["reward_chosen"]["estimate"] == 0
    assert own["reward_chosen"]["estimate"] != 0
    assert report["data"]["split"] == "dev"
    assert {"margins.svg", "margins.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    assert (tmp_path / "figures" / "credit-0" / "credit.html").exists()
    before = analyze_keys(results)
    again = invoke(results, *call)
    assert again.exit_code == 0
    assert analyze_keys(results) == before  # nothing was computed again
    assert all(len(line) <= 80 for line in again.stdout.splitlines())
    assert "log-prob" in again.stdout


@pytest.fixture(scope="module")
def judge(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random reward model: the tiny model with one output in place of its head."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(1)
    target = tmp_path_factory.mktemp("judge") / "judge"
    AutoModelForSequenceClassification.from_pretrained(
        tiny_checkpoint, num_labels=1, dtype=torch.float32
    ).save_pretrained(target)
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(target)
    return target


@pytest.mark.usefixtures("in_process")
def test_a_reward_model_scores_the_same_pairs_once_and_stands_beside_the_implicit_rewards(
    results: Path, moved: Path, judge: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    call = ["rewards", moved, *REFERENCE, "--limit", 12, "--beta", 0.5, "--reward-model", judge]
    done = invoke(results, *call, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    (pair,) = report["comparisons"]
    assert (pair["a"], pair["b"]) == ("moved", "reward model")
    own, other = report["rows"][0]["accuracy"]["estimate"], report["reward_model"]["accuracy"]["estimate"]
    assert pair["difference"] == pytest.approx(own - other)
    # the scores are the model's own, of the conversations as its template renders them
    pairs = sources.load_rows(DataSource(source="builtin:microtasks", split="dev", seed=1, rows=12), "preference")
    model = AutoModelForSequenceClassification.from_pretrained(judge).eval()
    tokenizer = AutoTokenizer.from_pretrained(judge)

    def reward(pair: dict[str, Any], side: str) -> float:
        turns = [*pair["prompt"], {"role": "assistant", "content": pair[side]}]
        ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            return float(model(torch.tensor([ids])).logits[0, 0])

    lines = [
        {"id": each["id"], "chosen": reward(each, "chosen"), "rejected": reward(each, "rejected")} for each in pairs
    ]
    files.write_jsonl(tmp_path / "scores.jsonl", lines)
    assert other == pytest.approx(100 * sum(line["chosen"] > line["rejected"] for line in lines) / 12)
    # the same by hand: a file of scores gives the same agreement
    before = analyze_keys(results)
    given = invoke(results, *call, "--scores", tmp_path / "scores.jsonl", "--json")
    assert analyze_keys(results) == before
    by_file, by_model = (
        json.loads(given.stdout)["against_scores"]["moved"],
        report["reward_model"]["agreement"]["moved"],
    )
    assert by_file["same_preference"] == by_model["same_preference"]
    assert by_file["spearman"] == pytest.approx(by_model["spearman"])
    shown = invoke(results, *call).stdout
    assert f"reward model {judge}" in " ".join(shown.split())
    assert "prefers the same" in shown


@pytest.mark.usefixtures("in_process")
def test_what_is_no_reward_model_is_named_and_the_rewards_are_reported_without_it(results: Path, moved: Path) -> None:
    call = ["rewards", moved, *REFERENCE, "--limit", 12, "--beta", 0.5, "--json"]
    done = invoke(results, *call, "--reward-model", moved)
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    (name,) = report["missing"]
    assert name == f"reward model {moved}"
    assert "is no reward model" in report["missing"][name]
    assert report["rows"][0]["n"] == 12
    absent = invoke(results, *call, "--reward-model", "./no-such-model")
    assert absent.exit_code == 2
    assert "neither a directory nor" in absent.stderr


@pytest.mark.usefixtures("in_process")
def test_values_and_drift_of_a_checkpoint_are_measured(results: Path, moved: Path, tmp_path: Path) -> None:
    values = invoke(results, "values", moved, "random:tiny-llama", *REFERENCE, "--limit", 12, "--json")
    assert values.exit_code == 0, values.output
    report = json.loads(values.stdout)
    own, self_ = report["rows"]
    assert 0 <= own["auc_value"]["estimate"] <= 1
    assert self_["auc_value"]["estimate"] == 0.5
    assert self_["added"]["estimate"] == 0
    assert report["agreement"]["value"][0]["rho"] is None  # the reference's own values do not vary
    assert report["agreement"]["logsumexp"][0]["rho"] > 0
    flags = ["--limit", 6, "--samples", 2, "--max-new-tokens", 5]
    drift = invoke(results, "drift", moved, "random:tiny-llama", *REFERENCE, *flags, "--json")
    assert drift.exit_code == 0, drift.output
    own, self_ = json.loads(drift.stdout)["rows"]
    assert self_["kl"]["estimate"] == self_["plain"]["estimate"] == self_["demonstrations"]["d"]["estimate"] == 0
    assert own["kl"]["estimate"] > 0
    assert own["n"] == 12
    assert own["board"] is None


@pytest.mark.usefixtures("in_process")
def test_a_reference_with_another_tokenizer_ends_with_the_reason(
    results: Path, tiny_checkpoint: Path, moved: Path, tmp_path: Path
) -> None:
    import shutil

    from transformers import AutoTokenizer

    other = tmp_path / "other"
    shutil.copytree(moved, other)
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer.add_tokens(["Lisbon"])
    tokenizer.save_pretrained(other)
    done = invoke(results, "rewards", moved, "--reference", other, "--limit", 4)
    assert done.exit_code == 1
    assert "different tokenizers" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["quickstrat"], 'neither a recipe, nor a board, nor a checkpoint. Did you mean "quickstart"?'),
        (["random:tiny-llama"], "checkpoints alone do not say what they are compared with"),
        (["random:tiny-llama", "--reference", "start"], "--reference start needs a recipe"),
        (["random:tiny-llama", "random:tiny-llama", *REFERENCE], 'two targets are called "random:tiny-llama"'),
        (["smoke"], "there is no finished checkpoint to measure: sft: not trained yet"),
        (["smoke", "--rows", "sftt"], 'smoke has no row "sftt". Did you mean "sft"?'),
    ],
)
def test_wrong_use_is_one_paragraph(tmp_path: Path, arguments: list[str], reason: str) -> None:
    done = invoke(tmp_path / "results", "rewards", *arguments)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert done.stderr.startswith("error: ")


def test_pairs_without_rejected_answers_are_refused_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "Name a colour", "chosen": "blue"}) + "\n")
    for kind in ("rewards", "values"):
        done = invoke(tmp_path / "results", kind, "random:tiny-llama", *REFERENCE, "--data", path)
        assert done.exit_code == 2
        assert 'row 0: not a preference row: column "rejected" is missing' in done.stderr


def test_data_that_a_recipe_trains_on_are_not_taken_for_held_out(tmp_path: Path) -> None:
    selection = selected(tmp_path, "smoke")
    trained = DataSource(source="builtin:microtasks", split="preference", rows=20)
    rows, notes = held_out.pairs(selection, trained)
    assert len(rows) == 4  # the recipe trains on the first 16
    assert notes == ["16 of 20 rows left out: their prompts are in the training data"]
    with pytest.raises(ConfigError, match="nothing is held out"):
        held_out.pairs(selection, trained.model_copy(update={"rows": 16}))
    own = held_out.choose(selection, None, None, None, None)
    assert (own.split, own.seed) == ("dev", 1)
    assert held_out.pairs(selection, own)[1] == []


def selected(tmp_path: Path, recipe: str, **more: Any) -> targets.Selection:
    """The recipe's rows as if all were trained: manifests without checkpoints behind them."""
    from harness import files, recipe_file
    from harness.plan import make_plan

    store = Store(tmp_path / "results")
    store.prepare()
    for row in make_plan(recipe_file.load(recipe), tmp_path).rows:
        for stage in row.train:
            files.write_json(store.path("train", stage.key) / "manifest.json", {"key": stage.key})
    return targets.select((recipe,), more.get("reference"), more.get("rows", ()), store)


def test_a_recipes_rows_are_measured_against_its_base_or_their_own_start_or_another_row(tmp_path: Path) -> None:
    against_base = selected(tmp_path, "smoke")
    assert [each.name for each in against_base.checkpoints] == ["sft", "sft+dpo", "pearson-chi2", "pearson-chi2+dpo"]
    sft, dpo = against_base.checkpoints[:2]
    assert against_base.reference_of(dpo).kind == "convert"
    own_start = selected(tmp_path, "smoke", reference="start")
    assert own_start.reference_of(dpo).name == sft.model.name
    assert selected(tmp_path, "smoke", reference="sft").reference_of(dpo).name == sft.model.name
    alone = selected(tmp_path, "smoke", reference="sft", rows=("sft+dpo",))
    assert [each.name for each in alone.checkpoints] == ["sft+dpo"]
    assert alone.reference_of(dpo).name == sft.model.name
    only = selected(tmp_path, "smoke", rows=("base", "sft"))
    assert {each.name for each in only.checkpoints} == {"base", "sft"}


def test_a_pass_is_shared_by_every_beta_and_not_repeated_for_the_data_a_checkpoint_was_trained_on(
    tmp_path: Path,
) -> None:
    selection = selected(tmp_path, "smoke")
    base, dpo = selection.base, selection.checkpoints[1]
    assert base is not None
    source = DataSource(source="builtin:microtasks", split="dev", rows=4)
    rows, _ = held_out.pairs(selection, source)
    data = stages.tokenised(source, rows, "preference", base, 64)
    settings = stages.Settings("cpu")
    own, reference = (
        stages.states(name, model, data, base, settings) for name, model in (("p", dpo.model), ("r", base))
    )
    wanted = [stages.rewards("p", own, reference, beta, pairs=True) for beta in (0.1, 0.5)]
    needed = stages.needed(wanted, Store(tmp_path / "results"))
    kinds = [stage.kind for stage in needed]
    assert kinds.count("tokenize") == 1
    assert kinds.count("train") == 1  # found done; what it was trained on is not asked for
    assert sum(stage.identity.get("task", {}).get("name") == "states" for stage in needed) == 2
    spec = specs.trainer_spec(wanted[0], Store(tmp_path / "results"), "r")
    assert Path(spec["task"]["policy"]).name == own.key
    assert specs.trainer_spec(own, Store(tmp_path / "results"), "r")["task"]["model"].endswith(
        f"{dpo.model.key}/checkpoint"
    )


def test_gc_keeps_the_analyses_of_checkpoints_that_stay(tmp_path: Path) -> None:
    from harness import files, garbage

    selection, store = selected(tmp_path, "smoke"), Store(tmp_path / "results")
    base = selection.base
    assert base is not None
    source = DataSource(source="builtin:microtasks", split="dev", rows=4)
    data = stages.tokenised(source, held_out.pairs(selection, source)[0], "preference", base, 64)
    gone = Stage("train", "a row of no recipe", {"x": 1})
    kept, left = (stages.states("p", model, data, base, stages.Settings("cpu")) for model in (base, gone))
    for stage in (base, data, gone, kept, left):
        manifest = {"key": stage.key, "inputs": stage.input_keys}
        files.write_json(store.path(stage.kind, stage.key) / "manifest.json", manifest)
    found = {f"{kind}/{key}" for kind, key, _ in garbage.unreferenced(store, ("smoke",))}
    assert found == {gone.name, left.name}


def test_two_stages_differ_when_what_they_measure_differs() -> None:
    model = Stage("convert", "a", {"x": 1})
    settings = stages.Settings("cpu")
    keys = {
        stages.drift("a", model, model, model, settings, samples_per_prompt=n, max_new_tokens=cap, seed=seed).key
        for n, cap, seed in ((4, 8, 0), (5, 8, 0), (4, 9, 0), (4, 8, 1))
    }
    assert len(keys) == 4


def test_scores_of_another_judge_are_read_and_foreign_ones_refused(tmp_path: Path) -> None:
    from harness.analysis import measure

    path = tmp_path / "scores.jsonl"
    path.write_text('{"id": "a", "chosen": 2, "rejected": 0.5}\n')
    assert measure.read_scores(str(path)) == {"a": 1.5}
    path.write_text('{"id": "a", "chosen": 2}\n')
    with pytest.raises(ConfigError, match="not a file of scores"):
        measure.read_scores(str(path))
