"""What a stage's process is told: specs for the trainers, jobs for the engine, the record for every manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import provenance
from harness.stage import Stage
from harness.store import Store


def record(stage: Stage, recipe: str) -> dict[str, Any]:
    """What a manifest says of the stage beside its outcome."""
    return {
        "kind": stage.kind,
        "key": stage.key,
        "label": stage.label,
        "recipe": recipe,
        "identity": stage.identity,
        "inputs": stage.input_keys,
        **provenance.record(),
    }


def directory(store: Store, stage: Stage) -> Path:
    """Where the stage keeps its files."""
    return store.path(stage.kind, stage.key)


CONTENT = ("rows_sha256", "turn", "questions")
"""Of a tokenize stage's identity: what its rows are, which the trainers read from the rows themselves."""
READ_IN_TRAINING = ("reference", "eval_data", "eval_reference")
"""Inputs of a train stage beside model and data, under the names that the trainers have for them."""


def trainer_spec(stage: Stage, store: Store, recipe: str) -> dict[str, Any]:
    """The SPEC.json of ``python -m trainers`` for a convert, tokenize, reference, train or analyze stage."""
    out = directory(store, stage)
    spec: dict[str, Any] = {"kind": stage.kind, "output": str(out), "record": record(stage, recipe)}
    if stage.kind == "convert":
        return spec | {"source": _source(stage, store)}
    if stage.kind == "analyze":
        return spec | analyze_settings(stage, store)
    spec["model"] = str(directory(store, stage.inputs["model"]) / "checkpoint")
    settings = dict(stage.identity)
    if stage.kind == "tokenize":
        own = {name: value for name, value in settings.items() if name not in CONTENT}
        return spec | {"rows": str(out / "rows.jsonl")} | own
    spec["data"] = str(directory(store, stage.inputs["data"]))
    if stage.kind == "train":
        spec |= {role: str(directory(store, stage.inputs[role])) for role in READ_IN_TRAINING if role in stage.inputs}
    return spec | settings | stage.execution


def _source(stage: Stage, store: Store) -> dict[str, Any]:
    """What a convert stage starts from: fetched, with the base of an adapter and the template given in its place."""
    source = dict(stage.execution["fetch"]())
    if "base" in stage.inputs:
        source["base"] = str(directory(store, stage.inputs["base"]) / "checkpoint")
    if "chat_template" in stage.execution:
        source["chat_template"] = stage.execution["chat_template"]
    return source


def analyze_settings(stage: Stage, store: Store) -> dict[str, Any]:
    """What an analyze stage adds to its spec: the task's settings with the path of each input under its role."""
    paths = {role: str(_read_from(store, needed)) for role, needed in stage.inputs.items()}
    return {**stage.identity, "task": {**stage.identity["task"], **paths}}


def _read_from(store: Store, stage: Stage) -> Path:
    """A model's checkpoint, or the directory of any other stage."""
    out = directory(store, stage)
    return out / "checkpoint" if stage.kind in ("convert", "train") else out


def generate_entry(stage: Stage, store: Store, recipe: str) -> dict[str, Any]:
    """One stage of a generate job (see `harness.backends.job`)."""
    return {
        "directory": str(directory(store, stage)),
        "checkpoint": str(directory(store, stage.inputs["model"]) / "checkpoint"),
        "prompts": str(directory(store, stage.inputs["prompts"]) / "prompts.jsonl"),
        "model_key": stage.inputs["model"].key,
        "identity": stage.identity,
        "record": record(stage, recipe),
    }
