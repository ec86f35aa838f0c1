"""A checkpoint, looked at before anything expensive starts: can the backend serve it, and can it read a chat?

Only small files and headers are read; neither torch nor a tokenizer is loaded. Every fault found is told at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import architectures, chat_template, headers
from harness.errors import BridgebenchError, ConfigError

EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "tok_embeddings.weight")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Requirements:
    """What will be asked of a checkpoint: the backends that serve it and the shapes of chat it has to read."""

    backends: tuple[str, ...] = ()
    conversations: tuple[Messages, ...] = ([{"role": "user", "content": "What is the capital of France?"}],)
    trust_remote_code: bool = False


def shapes(conversations: Iterable[Messages]) -> tuple[Messages, ...]:
    """The first conversation of each sequence of roles."""
    found: dict[tuple[str, ...], Messages] = {}
    for messages in conversations:
        found.setdefault(tuple(message["role"] for message in messages), messages)
    return tuple(found.values())


def require(source: dict[str, Any], needs: Requirements) -> None:
    """Check what a convert stage is about to load (its ``source``). Raises ConfigError that tells every fault."""
    template = Path(source["chat_template"]).read_text("utf-8") if source.get("chat_template") else None
    if source["format"] == "gguf":
        checks = _gguf_checks(Path(source["path"]), needs, template)
    elif source["format"] == "huggingface":
        checks = _directory_checks(Path(source["path"]), needs, template)
    elif source["format"] == "lora":
        checks = _adapter_checks(Path(source["path"]), needs, template)
    else:
        return
    faults = [fault for fault in map(_fault, checks) if fault is not None]
    if faults:
        name = Path(source["path"]).name
        raise ConfigError(
            " ".join(dict.fromkeys(fault.message for fault in faults)),
            "\n".join(dict.fromkeys(fault.hint for fault in faults if fault.hint)) or f"mend {name} and run again",
        )


def _fault(check: Callable[[], None]) -> BridgebenchError | None:
    try:
        check()
    except BridgebenchError as error:
        return error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return ConfigError(f"the checkpoint cannot be read: {error}.")
    return None


# a Hugging Face directory


def _directory_checks(path: Path, needs: Requirements, template: str | None) -> list[Callable[[], None]]:
    config = read(path / "config.json")
    return [
        lambda: _own_code(config, needs),
        lambda: _quantised(config),
        lambda: _architecture(config, needs),
        lambda: _vocabulary(path, config),
        lambda: _ends(path, config),
        lambda: _reads_chats(path, needs, template),
    ]


def read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is missing. Raises ConfigError for another kind of file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds no settings.")
    return value


def _own_code(config: dict[str, Any], needs: Requirements) -> None:
    if "auto_map" not in config:
        return
    named = config.get("architectures") or ["its class"]
    native = named[0] in architectures.known_to_transformers()
    hint = (
        f"transformers knows {named[0]} itself: take auto_map out of a copy's config.json"
        if native
        else "serve it where its code may run, and evaluate that with endpoint:URL#MODEL"
    )
    if needs.trust_remote_code:
        raise ConfigError(
            "the checkpoint wants to run code of its own (auto_map), and --trust-remote-code does not change that: "
            "there is no sandbox here that could hold it.",
            hint,
        )
    raise ConfigError("the checkpoint wants to run code of its own (auto_map in config.json), which is refused.", hint)


def _quantised(config: dict[str, Any]) -> None:
    if "quantization_config" in config:
        raise ConfigError(
            "the checkpoint is quantised; its probe and float32 serving need plain weights.",
            "give the unquantised one, or evaluate it with endpoint:URL#MODEL",
        )


def _architecture(config: dict[str, Any], needs: Requirements) -> None:
    named = config.get("architectures") or []
    if not named:
        raise ConfigError("config.json names no architecture.", 'it says, e.g., "architectures": ["LlamaForCausalLM"]')
    for backend in needs.backends:
        served = architectures.served_by(backend)
        if served and named[0] not in served:
            other = named[0] in architectures.served_by("transformers")
            hint = (
                "use --set generate.backend=transformers"
                if other
                else "endpoint:URL#MODEL evaluates what runs elsewhere"
            )
            raise ConfigError(f"the backend {backend} does not serve {named[0]}.", hint)


def _vocabulary(path: Path, config: dict[str, Any]) -> None:
    rows = _embedding_rows(headers.sharded(path))
    text_config = config.get("text_config") or config
    declared = text_config.get("vocab_size")
    if rows is not None and declared is not None and rows != declared:
        raise ConfigError(f"config.json says vocab_size {declared}, but the embedding has {rows} rows.")
    _fits(_largest_token(path), rows)


def _embedding_rows(tensors: dict[str, dict[str, Any]]) -> int | None:
    shapes = [entry["shape"] for name, entry in tensors.items() if name.endswith(EMBEDDINGS)]
    return int(shapes[0][0]) if shapes else None


def _largest_token(path: Path) -> int | None:
    """The largest id that a chat can give; None where the tokenizer is of another form and cannot be counted.

    Of the added tokens those count that the template or the special tokens name: some models ship further ones (for
    images) that have no row in the embedding and never occur in text.
    """
    stored = read(path / "tokenizer.json")
    vocabulary = (stored.get("model") or {}).get("vocab")
    if not vocabulary:
        return None
    largest = max(vocabulary.values()) if isinstance(vocabulary, dict) else len(vocabulary) - 1
    named = (template_of(path) or "") + " ".join(_special(path).values())
    added = [token["id"] for token in stored.get("added_tokens") or [] if token["content"] in named]
    return int(max([largest, *added]))


def _fits(largest: int | None, rows: int | None) -> None:
    if largest is not None and rows is not None and largest >= rows:
        raise ConfigError(
            f"the tokenizer has a token {largest}, but the embedding only {rows} rows.",
            "tokenizer and weights do not belong together, or the embedding was not resized",
        )


def _ends(path: Path, config: dict[str, Any]) -> None:
    """The end-of-turn ids, wherever they are named; converting takes the tokenizer's where neither config has any."""
    rows = _embedding_rows(headers.sharded(path))
    named = read(path / "generation_config.json").get("eos_token_id", config.get("eos_token_id"))
    if named is None and not _special(path).get("eos_token"):
        raise ConfigError(
            "neither generation_config.json, config.json nor the tokenizer names an end-of-turn token.",
            'add "eos_token_id" to generation_config.json',
        )
    for token in named if isinstance(named, list) else [named]:
        if token is not None and rows is not None and not 0 <= token < rows:
            raise ConfigError(f"eos_token_id {token} is no row of the embedding, which has {rows}.")


def _reads_chats(path: Path, needs: Requirements, template: str | None) -> None:
    if not any((path / name).is_file() for name in TOKENIZERS):
        raise ConfigError(f"{path.name} has no tokenizer.", "save it with tokenizer.save_pretrained(directory)")
    _renders(template if template is not None else template_of(path), needs, _special(path))


def template_of(path: Path) -> str | None:
    """The chat template beside a tokenizer, or inside its settings."""
    if (path / "chat_template.jinja").is_file():
        return (path / "chat_template.jinja").read_text("utf-8")
    stored = read(path / "chat_template.json") or read(path / "tokenizer_config.json")
    found = stored.get("chat_template")
    if isinstance(found, list):
        found = next((entry["template"] for entry in found if entry.get("name") == "default"), None)
    return found


def _special(path: Path) -> dict[str, str]:
    stored = read(path / "special_tokens_map.json") | read(path / "tokenizer_config.json")
    found = {name: stored[name] for name in SPECIAL if stored.get(name)}
    return {name: token["content"] if isinstance(token, dict) else str(token) for name, token in found.items()}


def _renders(template: str | None, needs: Requirements, special: dict[str, str]) -> None:
    if not template and needs.conversations:
        raise ConfigError("the tokenizer has no chat template.", chat_template.HINT)
    for messages in needs.conversations:
        chat_template.render(str(template), messages, special)


# a GGUF file


def _gguf_checks(path: Path, needs: Requirements, template: str | None) -> list[Callable[[], None]]:
    found = headers.gguf(path)

    def architecture() -> None:
        known = architectures.gguf_types()
        if known and found.architecture not in known:
            raise ConfigError(f"GGUF files of the architecture {found.architecture} cannot be converted.")

    def vocabulary() -> None:
        _fits(found.tokens - 1, found.embedding_rows)
        if found.eos is None or not 0 <= found.eos < found.tokens:
            raise ConfigError(f"the GGUF file's end-of-turn token is {found.eos}, of {found.tokens} tokens.")

    return [
        architecture,
        vocabulary,
        lambda: _renders(template if template is not None else found.chat_template, needs, found.special),
    ]


# a LoRA adapter: its base has been inspected as a checkpoint of its own


def _adapter_checks(path: Path, needs: Requirements, template: str | None) -> list[Callable[[], None]]:
    config = read(path / "adapter_config.json")

    def kind() -> None:
        if config.get("peft_type") != "LORA":
            raise ConfigError(f"the adapter is of the kind {config.get('peft_type')}; LORA is what can be merged.")

    def weights() -> None:
        found = headers.safetensors(path / "adapter_model.safetensors")
        if not any("lora_" in name for name in found):
            raise ConfigError("adapter_model.safetensors holds no LoRA weights.")

    def chats() -> None:
        own = template if template is not None else template_of(path)
        if own is not None:
            _renders(own, needs, _special(path))

    return [lambda: _own_code(config, needs), kind, weights, chats]
