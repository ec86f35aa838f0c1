"""What is looked at before anything expensive starts, each fault by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import architectures, chat_template, headers, inspection
from harness.errors import BridgebenchError, ConfigError
from harness.inspection import Requirements

ASK = [{"role": "user", "content": "Say hi"}]
SYSTEM = [{"role": "system", "content": "Be brief"}, *ASK]
TALK = [*ASK, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": "And bye"}]
NEEDS = Requirements(backends=("transformers", "vllm"), conversations=(ASK, SYSTEM, TALK))


def inspect(path: Path, needs: Requirements = NEEDS, **source: Any) -> None:
    inspection.require({"format": "huggingface", "path": str(path), **source}, needs)


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_checkpoint_passes(checkpoint: Path) -> None:
    inspect(checkpoint)


def cut(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def without_template(path: Path) -> None:
    (path / "chat_template.jinja").unlink()


def without_tokenizer(path: Path) -> None:
    (path / "tokenizer.json").unlink()


def with_template(text: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        (path / "chat_template.jinja").write_text(text)

    return spoil


def with_config(**changes: Any) -> Callable[[Path], None]:
    return lambda path: edit(path / "config.json", **changes)


def with_an_image_token(path: Path) -> None:
    stored = json.loads((path / "tokenizer.json").read_text())
    stored["added_tokens"].append({**stored["added_tokens"][-1], "id": 400, "content": "<more>"})
    (path / "tokenizer.json").write_text(json.dumps(stored))


def with_more_tokens(path: Path) -> None:
    with_an_image_token(path)
    template = path / "chat_template.jinja"
    template.write_text("<more>" + template.read_text())


def without_end(path: Path) -> None:
    edit(path / "config.json", eos_token_id=None)
    edit(path / "generation_config.json", eos_token_id=None)
    edit(path / "tokenizer_config.json", eos_token=None)


def with_missing_shard(path: Path) -> None:
    index = {"weight_map": {"model.embed_tokens.weight": "model-00002-of-00002.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


REFUSES_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ m.content }}{% endfor %}"
)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "bytes where its header promises"),
        (without_template, "has no chat template"),
        (without_tokenizer, "has no tokenizer"),
        (with_template("{% for m in %}"), "the chat template is not valid, line 1"),
        (with_template("{{ messages[0].none.deeper }}"), "does not render a chat of user"),
        (with_template(REFUSES_SYSTEM), "does not render a chat of system, user: no system"),
        (with_template("{{ messages[-1].content }}"), "leaves out turn 1 of a chat of system, user"),
        (with_template("{{ ''.__class__.__mro__ }}"), "does not render"),
        (with_config(vocab_size=99), "vocab_size 99, but the embedding has 320 rows"),
        (with_config(architectures=["NoSuchForCausalLM"]), "backend transformers does not serve NoSuchForCausalLM"),
        (with_config(architectures=[]), "names no architecture"),
        (with_config(auto_map={"AutoModelForCausalLM": "m.M"}), "run code of its own"),
        (with_config(quantization_config={"bits": 4}), "is quantised"),
        (with_more_tokens, "the tokenizer has a token 400, but the embedding only 320 rows"),
        (lambda path: edit(path / "generation_config.json", eos_token_id=[257, 900]), "eos_token_id 900 is no row"),
        (without_end, "names an end-of-turn token"),
        (with_missing_shard, "1 of 1 shards are missing"),
    ],
)
def test_a_fault_is_named(checkpoint: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(checkpoint)
    with pytest.raises(ConfigError) as caught:
        inspect(checkpoint)
    assert said in caught.value.message


def test_an_added_token_that_no_chat_can_give_needs_no_row_in_the_embedding(checkpoint: Path) -> None:
    with_an_image_token(checkpoint)
    inspect(checkpoint)


def test_a_model_without_a_template_may_be_fetched_but_not_asked(checkpoint: Path) -> None:
    without_template(checkpoint)
    inspect(checkpoint, Requirements(conversations=()))


def test_all_faults_are_told_at_once(checkpoint: Path) -> None:
    with_config(auto_map={})(checkpoint)
    without_template(checkpoint)
    with pytest.raises(ConfigError) as caught:
        inspect(checkpoint)
    assert "code of its own" in caught.value.message
    assert "no chat template" in caught.value.message


def test_a_template_given_stands_in_for_a_missing_one(checkpoint: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text((checkpoint / "chat_template.jinja").read_text())
    without_template(checkpoint)
    inspect(checkpoint, chat_template=str(template))


def test_a_template_given_replaces_the_checkpoints_own_when_it_is_converted(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    from trainers.__main__ import run
    from trainers.spec import ADAPTER

    template = tmp_path / "other.jinja"
    template.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}")
    source = {"format": "huggingface", "path": str(tiny_checkpoint), "chat_template": str(template)}
    run(ADAPTER.validate_python({"kind": "convert", "output": str(tmp_path / "out"), "source": source, "threads": 1}))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "checkpoint")
    assert tokenizer.apply_chat_template(ASK, tokenize=False) == "[user] Say hi "


def test_the_flag_for_remote_code_only_explains_the_refusal(checkpoint: Path) -> None:
    with_config(auto_map={"AutoModelForCausalLM": "m.M"})(checkpoint)
    with pytest.raises(ConfigError, match="does not change that") as caught:
        inspect(checkpoint, Requirements(trust_remote_code=True))
    assert "transformers knows LlamaForCausalLM itself" in caught.value.hint


def test_the_sandbox_renders_what_the_tokenizer_renders(tiny_checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tricky = (
        "{%- for m in messages %}\n  {%- if loop.first and m['role'] != 'system' %}\n{{ bos_token or '' }}"
        "{{ strftime_now('%Y') }}{% endif %}\n{% generation %}{{ m | tojson }}{% endgeneration %}"
        "{% if false %}{% break %}{% endif %}\n{% endfor %}{{ eos_token }}"
    )
    for template in (inspection.template_of(tiny_checkpoint), tricky):
        for messages in (ASK, SYSTEM, TALK):
            theirs = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
            assert chat_template.render(str(template), messages, {"eos_token": tokenizer.eos_token}) == theirs


def test_the_lists_of_architectures_are_read_without_importing_the_backend() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from harness import architectures as a; "
        "assert {'LlamaForCausalLM', 'Qwen2ForCausalLM'} <= a.served_by('transformers'); "
        "assert 'llama' in a.gguf_types(); a.served_by('vllm'); "
        "assert not {'torch', 'vllm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "LlamaForCausalLM" in (architectures.served_by("vllm") or {"LlamaForCausalLM"})
    assert architectures.served_by("openai") == frozenset()


def test_the_list_for_vllm_is_its_registry() -> None:
    import ast
    from importlib.util import find_spec

    found = find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        pytest.skip("vLLM is not installed here")
    text = (Path(next(iter(found.submodule_search_locations))) / "model_executor/models/registry.py").read_text()
    names = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert architectures.served_by("vllm") <= names
    assert len(architectures.served_by("vllm")) > 100


def test_a_file_that_only_looks_like_a_header_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"short", b"\xff" * 64, (5).to_bytes(8, "little") + b"[1,2]", (2).to_bytes(8, "little") + b"{}x"):
        path = tmp_path / "model.safetensors"
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="cannot be loaded"):
            headers.safetensors(path)
    path.write_bytes(b"GGUF" + b"\x00" * 40)
    with pytest.raises(BridgebenchError, match="cannot be loaded"):
        headers.gguf(path)


def test_one_conversation_of_each_shape_is_rendered() -> None:
    assert inspection.shapes([ASK, SYSTEM, ASK, TALK]) == (ASK, SYSTEM, TALK)
