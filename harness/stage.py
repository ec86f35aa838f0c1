"""A stage: what it does (identity), what it reads (inputs), and how it is to be run (execution).

Its key is a digest of the first two, so the whole matrix has names before anything has run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import files

# Raised by hand when the code of a kind changes what it would write for the same settings.
STAGE_VERSIONS = {
    "convert": 1,
    "tokenize": 2,
    "prompts": 1,
    "reference": 4,
    "train": 4,
    "generate": 1,
    "scores": 1,
    "judge": 2,
    "analyze": 1,
    "analysis": 1,
    "aggregate": 3,
}


@dataclass(frozen=True, eq=False)
class Stage:
    """One node of the plan. ``label`` says where it stands in the matrix; it is not part of the key."""

    kind: str
    label: str
    identity: dict[str, Any]
    inputs: dict[str, Stage] = field(default_factory=dict)
    execution: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    """Writes what the stage reads from outside the store into its directory (data rows)."""

    @cached_property
    def key(self) -> str:
        """16 hex digits of SHA-256 over kind, version, identity and the keys of the inputs."""
        named = {
            "kind": self.kind,
            "version": STAGE_VERSIONS[self.kind],
            "identity": self.identity,
            "inputs": self.input_keys,
        }
        return files.sha256_text(files.canonical_json(named))[:16]

    @property
    def input_keys(self) -> dict[str, str]:
        """Role → ``kind/key`` of every input."""
        return {role: stage.name for role, stage in self.inputs.items()}

    @cached_property
    def name(self) -> str:
        """``kind/key``."""
        return f"{self.kind}/{self.key}"


def in_order(stages: list[Stage]) -> list[Stage]:
    """``stages`` and all they need, inputs before those that read them, equal keys once."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.name not in found:
            for needed in stage.inputs.values():
                visit(needed)
            found.setdefault(stage.name, stage)

    for stage in stages:
        visit(stage)
    return list(found.values())


def ancestors(stage: Stage) -> Iterator[Stage]:
    """Every stage that ``stage`` needs, itself left out."""
    yield from in_order(list(stage.inputs.values()))
