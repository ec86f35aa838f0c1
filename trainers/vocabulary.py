"""Which token has which id: two models can be compared token by token only if they agree on it."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainers.checkpoint import load_tokenizer, require_checkpoint
from trainers.errors import TrainerError
from trainers.output import MANIFEST


@lru_cache(maxsize=16)
def _tokens_digest(checkpoint: Path, modified: int) -> str:
    return tokens_digest(load_tokenizer(checkpoint))


def tokens_digest(tokenizer: Any) -> str:
    """16 hex digits of SHA-256 over the tokenizer's tokens in the order of their ids."""
    pairs = sorted(tokenizer.get_vocab().items(), key=lambda pair: (pair[1], pair[0]))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def vocabulary(checkpoint: Path) -> dict[str, Any]:
    """The digest of the checkpoint's tokens and the number of rows of its output head. Raises TrainerError."""
    require_checkpoint(checkpoint)
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    newest = max(path.stat().st_mtime_ns for path in checkpoint.glob("*.json"))
    return {"tokens": _tokens_digest(checkpoint, newest), "size": config.get("vocab_size")}


def require_vocabulary(model: Path, data: Path) -> None:
    """Raise TrainerError if ``data`` was tokenised with another vocabulary than ``model`` has."""
    manifest = data / MANIFEST
    summary = json.loads(manifest.read_text("utf-8"))["summary"] if manifest.exists() else {}
    stored = summary.get("vocabulary")
    if stored is None:
        raise TrainerError(
            f"{data} does not say with which vocabulary it was tokenised.", "run its tokenize spec again"
        )
    if stored != (own := vocabulary(model)["tokens"]):
        raise TrainerError(
            f"the data in {data} was tokenised with another vocabulary ({stored}) than the model {model} has ({own}).",
            "run a tokenize spec with this model",
        )
