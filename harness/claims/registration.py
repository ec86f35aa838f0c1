"""What a recipe claims, recorded with a time by its first run, so that "named before the run" can be checked."""

from __future__ import annotations

import os
from typing import Any

from harness import files, provenance
from harness.config import Recipe, merged
from harness.store import Store

FOLDER = "claims"
Registration = dict[str, Any]
NO_WEIGHTS = {"checkpoint_every", "eval_every"}
"""Settings of training that change no weight: a cell is the same with others."""


def content(recipe: Recipe) -> dict[str, Any]:
    """The claims block with the settings behind every name in it, so that a cell cannot change under its name."""
    claims = recipe.claims
    assert claims is not None
    names = dict.fromkeys([claims.baseline, *(name for found in claims.candidates().values() for name in found)])
    stage = claims.stage_of(recipe.stages)
    settings = recipe.stages[stage]
    assert settings is not None
    return {
        "claims": claims.model_dump(mode="json"),
        "base": recipe.base.model_dump(mode="json") if recipe.base is not None else None,
        "cells": {name: _settings(recipe, recipe.cells[name]) for name in names},
        "preference_stage": {stage: _settings(recipe, settings)},
        "benchmarks": {
            name: evaluation.benchmark.model_dump(mode="json", include={"source", "split", "rows", "seed", "config"})
            for name, evaluation in recipe.evaluations.items()
        },
    }


def _settings(recipe: Recipe, cell: Any) -> dict[str, Any]:
    training = merged(recipe.training, cell).model_dump(mode="json", exclude=NO_WEIGHTS)
    return {"objective": cell.settings(), **training}


def digest(recipe: Recipe) -> str:
    """SHA-256 of `content`, hex."""
    return files.sha256_text(files.canonical_json(content(recipe)))


def register(recipe: Recipe, store: Store) -> Registration | None:
    """Record the claims of ``recipe`` unless they are on record; returns the record that stands, None without claims.

    The seeds of that moment are recorded beside the digest: seeds added after looking at results are optional stopping.
    """
    if recipe.claims is None:
        return None
    known = read(recipe, store)
    if known is not None:
        return known
    record: Registration = {
        "digest": digest(recipe),
        "recorded": provenance.now(),
        "recipe": recipe.name,
        "seeds": recipe.seeds,
        "content": content(recipe),
    }
    fresh = store.root / FOLDER / f".{record['digest'][:16]}.{os.getpid()}"
    files.write_json(fresh, record)
    try:
        os.link(fresh, _path(store, record["digest"]))  # fails where another run was first: its time counts
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return read(recipe, store)


def read(recipe: Recipe, store: Store) -> Registration | None:
    """The record of these very claims, None where no run made one."""
    if recipe.claims is None:
        return None
    path = _path(store, digest(recipe))
    return files.read_json(path) if path.exists() else None


def _path(store: Store, digest: str) -> Any:
    return store.root / FOLDER / f"{digest[:16]}.json"
