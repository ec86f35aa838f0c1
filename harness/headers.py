"""What weight files say of themselves in their first bytes: safetensors and GGUF, without loading a tensor."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, EnvironmentFault

LARGEST_HEADER = 100 << 20  # the format's own limit
GGUF_MAGIC = b"GGUF"


def safetensors(path: Path) -> dict[str, dict[str, Any]]:
    """Tensor name → ``{dtype, shape, data_offsets}``. Raises ConfigError for a torn file or another format."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise ConfigError(f"{path} cannot be loaded: it is not a safetensors file.")
        try:
            header: dict[str, dict[str, Any]] = json.loads(handle.read(length))
            header.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ConfigError(f"{path} cannot be loaded: its header is damaged.") from None
    if 8 + length + end != size:
        raise ConfigError(
            f"{path} cannot be loaded: it has {size} bytes where its header promises {8 + length + end}.",
            "the download or copy was cut; fetch it again",
        )
    return header


def sharded(directory: Path) -> dict[str, dict[str, Any]]:
    """All tensors of a checkpoint, one file or many. Raises ConfigError for a missing shard or tensor."""
    found: dict[str, dict[str, Any]] = {}
    index = directory / "model.safetensors.index.json"
    names = {path.name for path in directory.glob("*.safetensors")}
    if index.is_file():
        wanted = json.loads(index.read_text("utf-8"))["weight_map"]
        names = set(wanted.values())
        absent = sorted(name for name in names if not (directory / name).is_file())
        if absent:
            raise ConfigError(
                f"{directory} cannot be loaded: {len(absent)} of {len(names)} shards are missing, e.g. {absent[0]}."
            )
    for name in sorted(names):
        found |= safetensors(directory / name)
    if index.is_file() and (lost := sorted(set(wanted) - set(found))):
        raise ConfigError(f"{directory} cannot be loaded: its shards lack {len(lost)} tensors, e.g. {lost[0]}.")
    return found


@dataclass(frozen=True)
class Gguf:
    """What matters of a GGUF file."""

    architecture: str
    tokens: int
    embedding_rows: int | None
    eos: int | None
    chat_template: str | None
    special: dict[str, str]


def gguf(path: Path) -> Gguf:
    """Read the metadata. Raises ConfigError for another format, EnvironmentFault without the ``gguf`` package."""
    with path.open("rb") as handle:
        if handle.read(4) != GGUF_MAGIC:
            raise ConfigError(f"{path.name} cannot be loaded: it is not a GGUF file.")
    try:
        from gguf import GGUFReader
    except ImportError:
        raise EnvironmentFault("the package gguf is missing.", "pip install 'bridgebench[train]'") from None
    try:
        return _from_reader(GGUFReader(path))
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise ConfigError(f"{path.name} cannot be loaded: {error}.", "the download or copy may have been cut") from None


def _from_reader(reader: Any) -> Gguf:
    def value(name: str) -> Any:
        field = reader.fields.get(name)
        return None if field is None else field.contents()

    tokens = reader.fields.get("tokenizer.ggml.tokens")
    embedding = next((tensor for tensor in reader.tensors if tensor.name == "token_embd.weight"), None)
    bos, eos = value("tokenizer.ggml.bos_token_id"), value("tokenizer.ggml.eos_token_id")
    named = {"bos_token": bos, "eos_token": eos}
    special = {
        name: str(tokens.contents(number))
        for name, number in named.items()
        if tokens is not None and number is not None
    }
    return Gguf(
        architecture=str(value("general.architecture")),
        tokens=len(tokens.data) if tokens is not None else 0,
        embedding_rows=int(embedding.shape[-1]) if embedding is not None else None,
        eos=eos,
        chat_template=value("tokenizer.chat_template"),
        special=special,
    )
