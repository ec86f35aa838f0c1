"""Any source of a base model → ``checkpoint/``: safetensors, config, generation settings, tokenizer, template,
probe.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from trainers.checkpoint import copy_companions, require_checkpoint
from trainers.errors import TrainerError
from trainers.output import Run, tree, write_json
from trainers.probe import write_probe
from trainers.spec import Convert, Source

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TINY_POSITIONS = 2048


def convert(spec: Convert) -> None:
    """Run a convert spec."""
    run = Run(spec)
    target = run.directory / "checkpoint"
    temporary = run.directory / ".checkpoint.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    sources = {"gguf": _from_gguf, "huggingface": _from_huggingface, "lora": _from_adapter, "random": _random}
    sources[spec.source.format](spec.source, temporary)
    if spec.source.chat_template is not None:
        set_template(temporary, spec.source.chat_template)
    _require_stop_token(temporary)
    if spec.source.head is None:
        write_probe(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    weights = sum(path.stat().st_size for path in target.glob("*.safetensors"))
    run.finish(tree(run.directory, "checkpoint"), {"weights_bytes": weights, "architecture": _architecture(target)})


def _architecture(checkpoint: Path) -> str | None:
    named = json.loads((checkpoint / "config.json").read_text("utf-8")).get("architectures")
    return named[0] if named else None


def _from_gguf(source: Source, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    path = _path(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainerError(f"the GGUF file {path.name} cannot be converted: {error}") from None
    # the weights are plain float32 now; the marks of quantisation would keep them from being saved as such
    model.hf_quantizer, model.is_quantized = None, False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _from_huggingface(source: Source, target: Path) -> None:
    path = _path(source)
    require_checkpoint(path)
    config = json.loads((path / "config.json").read_text("utf-8"))
    if "auto_map" in config:
        raise TrainerError(f"{path} needs code of its own (auto_map in config.json), and remote code is not run.")
    if "quantization_config" in config:
        raise TrainerError(f"{path} is quantised; training and float32 serving need plain weights.")
    copy_companions(path, target)
    for weights in (
        path / "config.json",
        *path.glob("*.safetensors"),
        *path.glob("*.safetensors.index.json"),
    ):
        shutil.copyfile(weights, target / weights.name)


def _from_adapter(source: Source, target: Path) -> None:
    from trainers.adapter import merge

    if source.base is None:
        raise TrainerError("an adapter needs source.base, the checkpoint it belongs to.")
    merge(_path(source), source.base, target)


def set_template(checkpoint: Path, template: Path) -> None:
    """Put ``template`` in the place of whatever chat template the checkpoint brought."""
    path = checkpoint / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8")) if path.exists() else {}
    settings.pop("chat_template", None)
    write_json(path, settings)
    (checkpoint / "chat_template.json").unlink(missing_ok=True)
    shutil.copyfile(template, checkpoint / "chat_template.jinja")


def _path(source: Source) -> Path:
    if source.path is None or not source.path.exists():
        raise TrainerError(f"source.path {source.path} does not exist.")
    return source.path


def _random(source: Source, target: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    if source.name != "tiny-llama":
        raise TrainerError(f'there is no random model "{source.name}"; there is tiny-llama')
    tokenizer = byte_tokenizer()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = LlamaConfig(
        vocab_size=320,  # 256 bytes and the special tokens, rounded up
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,  # heads of 32, the smallest that serving engines take
        num_key_value_heads=2,
        max_position_embeddings=TINY_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=stop,
        pad_token_id=stop,
    )
    torch.manual_seed(source.seed)
    LlamaForCausalLM(config).float().save_pretrained(target)
    tokenizer.save_pretrained(target)


def byte_tokenizer() -> Any:
    """A token a byte and a ChatML template; no training data, no download. Padding is the end-of-turn token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        model_max_length=TINY_POSITIONS,
    )
    wrapped.chat_template = CHATML
    return wrapped


def _require_stop_token(checkpoint: Path) -> None:
    """Make sure that generation_config.json names the end-of-turn token."""
    from trainers.checkpoint import load_tokenizer

    path = checkpoint / "generation_config.json"
    settings = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if settings.get("eos_token_id") is None:
        configured = json.loads((checkpoint / "config.json").read_text("utf-8")).get("eos_token_id")
        settings["eos_token_id"] = configured if configured is not None else load_tokenizer(checkpoint).eos_token_id
    if settings["eos_token_id"] is None:
        raise TrainerError("the model names no end-of-turn token in its config, generation settings or tokenizer.")
    write_json(path, settings)
