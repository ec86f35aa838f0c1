"""``builtin:microtasks``: short instruction-following tasks with exact verifiers, made from a seed.

Twenty trained families, six that are never trained (part ``out``) and general prompts that the untouched
base model passes (part ``retain``). The four splits share no phrasing and no value. docs/microtasks.md
describes the families and what the base model scores on dev. Stands at both ends of the flow: `build` feeds
training and generation, `score` is the rules judge's verifier.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from harness.data.microtasks import assembly, verifiers
from harness.data.microtasks.pools import SPLITS, Split
from harness.errors import ConfigError, did_you_mean

__all__ = ["FAMILIES", "VERSION", "answered", "build", "score", "source_digest"]

VERSION = assembly.VERSION
FAMILIES: tuple[str, ...] = tuple(family.name for family in assembly.FAMILIES)


def build(split: Split, *, rows: int | None, seed: int = 0) -> list[dict[str, Any]]:
    """The rows of ``split``; None asks for its default number (384 train, 160 preference, 300 dev and eval).

    train: ``{id, messages, family, part, check}``, the assistant's demonstration last. preference: ``{id,
    prompt, chosen, rejected, family, part, check}``. dev and eval: ``{id, messages, family, part, check}``,
    the user last, in the shares in 0.6, out 0.2, retain 0.2. Another ``seed`` makes other tasks of the same
    split. Raises ConfigError for a split that does not exist and for more rows than there are different
    tasks.
    """
    if split not in SPLITS:
        raise ConfigError(
            f'builtin:microtasks has no split "{split}".{did_you_mean(split, SPLITS)}',
            f"it has {', '.join(SPLITS)}",
        )
    count = assembly.DEFAULT_ROWS[split] if rows is None else rows
    if count < 1:
        raise ConfigError(f"builtin:microtasks, split {split}: {count} rows are not possible.", "ask for 1 or more")
    return assembly.assemble(split, count, seed)


def answered(split: Split, form: str, *, rows: int | None, seed: int = 0) -> list[dict[str, Any]]:
    """Tasks of the trained families in ``split`` with their demonstration (``sft``) or pair (``preference``).

    What dev and eval hold for measuring a model on given responses: phrasings and values that no training split has.
    ``rows`` counts the rows returned, 160 by default.
    """
    count = assembly.DEFAULT_ROWS["preference"] if rows is None else rows
    return assembly.assemble_answered(split, form, count, seed)


def score(check: dict[str, Any], text: str) -> float:
    """The exact verdict of ``check`` on a response, in [0, 1]; see `verifiers.score`."""
    return verifiers.score(check, text)


@cache
def source_digest() -> str:
    """SHA-256 of the verifiers' source: when a verifier changes, verdicts made by the old one are stale."""
    return hashlib.sha256(Path(verifiers.__file__).read_bytes()).hexdigest()
