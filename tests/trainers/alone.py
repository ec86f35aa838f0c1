"""The trainers where nothing else is installed: every kind of spec on a tiny model, each in a process of its own.

    make check-trainers-alone PYTHON=python3.13

Needs torch, transformers, safetensors, pydantic and numpy, and refuses to count where datasets or vLLM are there too.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ABSENT = ("datasets", "vllm", "trl", "peft", "accelerate")
SHOWN = ("torch", "transformers", "safetensors", "pydantic", "numpy")
CHATS = [("Say hi", "hi there"), ("Count to three", "1 2 3"), ("Name a colour", "blue"), ("Spell cat", "c-a-t")]


def rows(form: str) -> list[dict[str, Any]]:
    """Demonstrations, or pairs of an answer and its reverse."""
    if form == "sft":
        talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in CHATS]
        return [{"id": f"row-{n}", "messages": talk} for n, talk in enumerate(talks)]
    return [{"prompt": [{"role": "user", "content": q}], "chosen": a, "rejected": a[::-1] + "!"} for q, a in CHATS]


def run(folder: Path, name: str, kind: str, **settings: Any) -> Path:
    """One spec file through ``python -m trainers``; returns its output directory."""
    spec = folder / f"{name}.json"
    spec.write_text(json.dumps({"kind": kind, "output": str(folder / name), "threads": 1, **settings}))
    done = subprocess.run(
        [sys.executable, "-m", "trainers", str(spec)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not (folder / name / "manifest.json").is_file():
        raise SystemExit(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    return folder / name


def chain(folder: Path) -> dict[str, float]:
    """Model, data, references, SFT, f-SFT and DPO, an analysis; the last loss of each training."""
    for form in ("sft", "preference"):
        (folder / f"{form}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(form)))
    source = {"format": "random", "name": "tiny-llama"}
    base = {"model": str(run(folder, "base", "convert", source=source) / "checkpoint")}
    tokens = {
        form: str(run(folder, f"{form}-tokens", "tokenize", **base, rows=str(folder / f"{form}.jsonl"), format=form))
        for form in ("sft", "preference")
    }
    scores = {
        form: str(run(folder, f"{form}-scores", "reference", **base, data=tokens[form]))
        for form in ("sft", "preference")
    }
    settings = {"learning_rate": 1e-3, "batch_size": 2, "epochs": 2, **base}
    objectives: dict[str, dict[str, Any]] = {
        "sft": {"data": tokens["sft"], "objective": {"name": "sft"}},
        "f-sft": {
            "data": tokens["sft"],
            "reference": scores["sft"],
            "objective": {"name": "f_sft", "divergence": "jensen_shannon", "form": "soft_value"},
        },
        "dpo": {"data": tokens["preference"], "reference": scores["preference"], "objective": {"name": "dpo"}},
    }
    ended = {}
    for name, more in objectives.items():
        out = run(folder, name, "train", **settings, **more)
        ended[name] = json.loads((out / "manifest.json").read_text())["summary"]["final_loss"]
    task = {"name": "states", "model": str(folder / "dpo" / "checkpoint"), "data": tokens["sft"]}
    run(folder, "states", "analyze", task=task)
    return ended


def main() -> None:
    """Run the chain and print what it ran on."""
    there = [name for name in ABSENT if importlib.util.find_spec(name) is not None]
    if there:
        raise SystemExit(f"this proves nothing beside {', '.join(there)}: use an environment without")
    clock = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        losses = chain(Path(temporary))
    versions = {name: importlib.metadata.version(name) for name in SHOWN}
    found = {"python": platform.python_version(), **versions, "final_loss": losses}
    print(json.dumps({**found, "seconds": round(time.monotonic() - clock, 1)}))


if __name__ == "__main__":
    main()
