"""The paper-scale recipes: their price without model or network, and their graph run for real on a tiny model."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from harness import benchmarks, files, models, recipe_file, verify
from harness.claims import writing
from harness.cost import estimate, gpus, memory, render
from harness.data import sources
from harness.errors import ConfigError
from harness.plan import Plan, make_plan
from harness.stage import Stage
from harness.store import Store
from tests.test_smoke import bridgebench, executed

PAPERS = ("paper-mistral-7b", "paper-llama3-8b")
Graph = dict[str, dict[str, str]]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(models, "resolve", refuse_unless_random(models.resolve))


def refuse_unless_random(resolve: Any) -> Any:
    def guarded(reference: Any, cache: Path) -> Any:
        assert reference.reference.startswith("random:"), "a model was resolved"
        return resolve(reference, cache)

    return guarded


@pytest.mark.parametrize("name", PAPERS)
def test_cost_needs_neither_model_nor_network(name: str, no_network: None) -> None:
    recipe = recipe_file.load(name)
    found = estimate.make(recipe, gpus.find("h100"), price=2.0)
    counts = {line["kind"]: line["stages"] for line in found["kinds"]}
    assert found["rows"] == 13
    assert (counts["train sft"], counts["train f_sft"], counts["train dpo"], counts["reference"]) == (3, 3, 6, 1 + 6)
    assert counts["generate"] == counts["judge"] == 3 * 13
    assert found["gpu_money"] == pytest.approx(2 * found["gpu_hours"])
    assert found["judge_money"] == pytest.approx(sum(judge["money"] for judge in found["judges"]))
    shown = render.screen(found)
    assert all(len(line) <= 80 for line in shown.splitlines())
    for assumption in (
        "207,865 rows",
        "61,135 of",
        "805 prompts",
        "500 prompts",
        "80 prompts of 2 turns",
        "40% of the peak",
    ):
        assert assumption in " ".join(shown.split())


def test_hours_are_six_operations_per_parameter_and_token() -> None:
    found = estimate.make(recipe_file.load(PAPERS[0]), gpus.find("h100"), mfu=0.5)
    sft = next(line for line in found["kinds"] if line["kind"] == "train sft")
    steps = -(-207_865 // 128)
    assert sft["tokens"] == pytest.approx(3 * 1200 * 128 * steps)
    assert sft["gpu_hours"] == pytest.approx(6 * 7.24e9 * sft["tokens"] / (0.5 * 989e12) / 3600)


def test_seeds_multiply_the_price_of_training_and_leave_the_shared_cache_alone() -> None:
    one, three = (
        estimate.make(recipe_file.load(PAPERS[0], (f"seeds={s}",)), gpus.find("h100")) for s in ("[0]", "[0,1,2]")
    )
    kinds = [{line["kind"]: line for line in found["kinds"]} for found in (one, three)]
    assert kinds[1]["train dpo"]["gpu_hours"] == pytest.approx(3 * kinds[0]["train dpo"]["gpu_hours"])
    assert kinds[1]["reference"]["stages"] == 1 + 3 * 6
    assert three["rows"] == 1 + 3 * 12


def test_seven_billion_parameters_in_float32_need_several_gpus_and_bfloat16_fewer() -> None:
    shape = recipe_file.load(PAPERS[0]).assumptions
    assert shape is not None
    full = memory.training(shape.model, "float32", 4096, gpus.find("h100"))
    assert full.gpus == 4
    assert full.state == pytest.approx(16 * 7.24e9 / 4)
    half = memory.training(shape.model, "bfloat16", 4096, gpus.find("h100"))
    assert half.gpus == 2
    assert memory.training(shape.model, "float32", 4096, gpus.find("a100-40gb")).gpus == 8
    assert memory.serving(shape.model, "bfloat16", 64 * 1024, gpus.find("h100")).gpus == 1


def test_cost_of_a_recipe_without_assumptions_or_on_an_unknown_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="declares no assumptions"):
        estimate.make(recipe_file.load("quickstart"), gpus.find("h100"))
    with pytest.raises(ConfigError, match='Did you mean "h100"'):
        gpus.find("h10")
    partial = recipe_file.load(PAPERS[0], ("assumptions.preference=",))
    with pytest.raises(ConfigError, match=r"assumptions\.preference is missing"):
        estimate.make(partial, gpus.find("h100"))


# the large recipe's real plan, with small rows where its data would be downloaded


def planned_without_its_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    turns = [{"id": "p", "messages": [{"role": "user", "content": "?"}], "part": "all", "family": "all"}]
    trained = [{"id": "t", "messages": [*turns[0]["messages"], {"role": "assistant", "content": "!"}]}]
    pairs = [{"id": "t", "prompt": turns[0]["messages"], "chosen": "a", "rejected": "b"}]
    rows = {"sft": trained, "preference": pairs, "prompts": turns}
    outputs = tmp_path / "outputs.json"
    outputs.write_text("[]")

    def prompts(benchmark: Any) -> list[dict[str, Any]]:
        extra = {"second_turn": "and?"} if benchmark.source == "mt_bench" else {}
        return [{**turns[0], "id": f"{benchmark.source}-0", **extra}]

    resolved = models.ResolvedModel("hub:x", {"format": "random", "name": "tiny-llama", "seed": 0}, dict)
    monkeypatch.setattr(models, "resolve", lambda reference, cache: resolved)
    monkeypatch.setattr(sources, "iterate_rows", lambda source, form: iter(rows[form]))
    monkeypatch.setattr(benchmarks, "load", prompts)
    monkeypatch.setattr(benchmarks, "reference_outputs", lambda benchmark: outputs)
    return make_plan(recipe_file.load(name), tmp_path, device="cpu")


def graph(plan: Plan) -> Graph:
    """Name of a stage → role → name of its input; a name is kind, label and benchmark, never a key or a source."""
    benchmark = {}
    for row in plan.rows:
        for name, evaluated in row.evaluations.items():
            for stage in (
                evaluated.generate,
                evaluated.judge,
                evaluated.aggregate,
                evaluated.generate.inputs["prompts"],
            ):
                benchmark[stage.name] = name

    def called(stage: Stage) -> str:
        label = stage.identity.get("format", stage.label) if stage.kind == "tokenize" else stage.label
        if "turn 2" in stage.label:
            label = f"{label}, turn 2"
        return f"{stage.kind} {label} {benchmark.get(stage.name, '')}".strip()

    named = [called(stage) for stage in plan.stages if "turn 2" not in stage.label and stage.label != "reference"]
    assert len(set(named)) == len(named)
    return {called(stage): {role: called(i) for role, i in stage.inputs.items()} for stage in plan.stages}


def without_the_benchmarks_own(found: Graph) -> tuple[Graph, set[str]]:
    """(the graph less what a public benchmark brings along, the names of that): reference outputs and second turns."""
    own = {name for name in found if "turn 2" in name or name.split()[0] == "prompts" or name == "generate reference"}
    kept = {
        name: {role: need for role, need in needs.items() if need not in own and role != "baseline"}
        for name, needs in found.items()
        if name not in own
    }
    return kept, own


@pytest.mark.parametrize("name", PAPERS)
def test_the_tiny_twin_has_the_graph_of_the_large_recipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = graph(make_plan(recipe_file.load(f"{name}-tiny"), tmp_path, device="cpu"))
    large = graph(planned_without_its_data(name, tmp_path, monkeypatch))
    small_graph, small_own = without_the_benchmarks_own(tiny)
    large_graph, large_own = without_the_benchmarks_own(large)
    assert small_graph == large_graph
    assert not small_own
    assert {own.split()[0] for own in large_own} == {"prompts", "generate", "tokenize"}
    second = [own for own in large_own if "turn 2" in own]  # MT-Bench: a second answer a row, to a second question
    assert sum(own.startswith("generate") for own in second) == 13


def test_the_two_papers_are_one_graph(tmp_path: Path) -> None:
    first, second = (graph(make_plan(recipe_file.load(f"{name}-tiny"), tmp_path, device="cpu")) for name in PAPERS)
    assert first == second


@pytest.mark.slow
def test_the_graph_runs_from_recipe_to_claims(tmp_path: Path) -> None:
    """Once for both recipes, whose graphs are one."""
    name = f"{PAPERS[0]}-tiny"
    done = bridgebench(tmp_path / "store", "run", name)
    assert executed(done) == 1 + 5 + 7 + 12 + 3 * 39
    board = tmp_path / "store" / "boards" / name
    data = files.read_json(board / "data.json")
    assert len(data["rows"]) == 13
    assert all(set(row["benchmarks"]) == {"alpaca_eval", "arena_hard", "mt_bench"} for row in data["rows"])
    assert data["claims_registration"]["before_results"] is True
    assert 'href="claims.html"' in (board / "index.html").read_text()
    told, place = writing.run(name, Store(tmp_path / "store"), None, None)
    assert (place / "claims.html").is_file()
    assert {line["verdict"] for line in told["claims"]} == {"cannot tell"}
    assert "One training seed" in told["cannot_tell"][0]
    published = tmp_path / "leaderboards" / name
    bridgebench(tmp_path / "store", "publish", name, "--to", str(published))
    assert not fatal(published, tmp_path)
    claims = files.read_json(published / "claims.json")
    claims["claims"][0]["verdict"] = "supported"
    files.write_json(published / "claims.json", claims)
    assert fatal(published, tmp_path) == [("claims.json: claims", "does not follow from the verdicts")]


def fatal(published: Path, folder: Path) -> list[tuple[str, str]]:
    """Path and reason of what `verify` finds wrong with a published board."""
    problems, _ = verify.run(Store(folder / "store"), str(published))
    return [(problem.path, problem.what) for problem in problems if problem.fatal]
