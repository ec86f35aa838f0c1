from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainers.__main__ import run
from trainers.spec import ADAPTER

CHATS = [
    ("Say hi", "hi there"),
    ("Count to three please", "1 2 3"),
    ("Name a colour", "blue"),
    ("What is the capital of a country that you like, and why do you like it?", "Lisbon, for the light."),
    ("x", "y"),
    ("List two fruits", "- apple\n- pear"),
    ("Spell cat", "c-a-t"),
    ("Write a long sentence", "This sentence is a little longer than all the other ones in this list."),
]


def sft_rows() -> list[dict[str, Any]]:
    turns = [[{"role": "user", "content": user}, {"role": "assistant", "content": answer}] for user, answer in CHATS]
    return [{"id": f"row-{number}", "messages": messages} for number, messages in enumerate(turns)]


def preference_rows() -> list[dict[str, Any]]:
    return [
        {
            "id": f"pair-{number}",
            "prompt": [{"role": "user", "content": user}],
            "chosen": answer,
            "rejected": f"Sure! Here it is: {answer[::-1]}",
        }
        for number, (user, answer) in enumerate(CHATS)
    ]


@pytest.fixture(scope="session")
def run_spec() -> Callable[..., Path]:
    """Run a spec in this process; returns its output directory."""

    def go(output: Path, **spec: Any) -> Path:
        run(ADAPTER.validate_python({"output": str(output), "threads": 1, **spec}))
        return output

    return go


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sft_data(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, run_spec: Any) -> Path:
    folder = tmp_path_factory.mktemp("sft")
    rows = write_rows(folder / "in.jsonl", sft_rows())
    spec = {"kind": "tokenize", "format": "sft", "model": str(tiny_checkpoint), "rows": str(rows)}
    out: Path = run_spec(folder / "tokens", **spec)
    return out


def multi_turn_rows() -> list[dict[str, Any]]:
    """Conversations of one to three questions with their answers, of unequal lengths."""
    rows = []
    for number in range(len(CHATS)):
        picked = [CHATS[(number + shift) % len(CHATS)] for shift in range(1 + number % 3)]
        turns = [
            {"role": role, "content": text}
            for user, answer in picked
            for role, text in (("user", user), ("assistant", answer))
        ]
        rows.append({"id": f"talk-{number}", "messages": turns})
    return rows


@pytest.fixture(scope="session")
def talk_data(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, run_spec: Any) -> Path:
    """Loss on every turn, some of the conversations cut inside a response."""
    folder = tmp_path_factory.mktemp("talk")
    rows = write_rows(folder / "in.jsonl", multi_turn_rows())
    spec = {"kind": "tokenize", "format": "sft", "model": str(tiny_checkpoint), "rows": str(rows)}
    out: Path = run_spec(folder / "tokens", **spec, loss_on="all", max_length=130)
    return out


@pytest.fixture(scope="session")
def preference_data(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, run_spec: Any) -> Path:
    folder = tmp_path_factory.mktemp("preference")
    rows = write_rows(folder / "in.jsonl", preference_rows())
    spec = {"kind": "tokenize", "format": "preference", "model": str(tiny_checkpoint), "rows": str(rows)}
    out: Path = run_spec(folder / "tokens", **spec)
    return out


@pytest.fixture(scope="session")
def references(
    tiny_checkpoint: Path,
    sft_data: Path,
    talk_data: Path,
    preference_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    run_spec: Any,
) -> dict[str, Path]:
    """float32 reference scores of the tiny model on all data sets."""
    folder = tmp_path_factory.mktemp("reference")
    return {
        name: run_spec(folder / name, kind="reference", model=str(tiny_checkpoint), data=str(data), autocast=None)
        for name, data in (("sft", sft_data), ("talk", talk_data), ("preference", preference_data))
    }
