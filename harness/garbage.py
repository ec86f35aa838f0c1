"""What nothing refers to any more: stages outside every board's plan."""

from __future__ import annotations

import contextlib
from pathlib import Path

from harness import locks, recipe_file
from harness.analysis.roles import MODEL, REFERENCE
from harness.board_evidence import read_data
from harness.config import Recipe
from harness.errors import BridgebenchError
from harness.plan import make_plan
from harness.store import Store, directory_bytes, split_name

Found = list[tuple[str, str, int]]


def unreferenced(store: Store, keep: tuple[str, ...]) -> Found:
    """(kind, key, bytes) of stages that neither the recipes in ``keep`` nor (without ``keep``) any board refers to.

    Stages that a process is working on are left alone.
    """
    if keep:
        recipes = [recipe_file.load(name, (), store.root / recipe_file.SAVED) for name in keep]
        referred = {stage.name for recipe in recipes for stage in make_plan(recipe, store.root / "downloads").stages}
    else:
        referred = _behind_boards(store)
    referred |= _analyses_of(store, referred)
    return [
        (kind, key, directory_bytes(store.path(kind, key)))
        for kind, key in store.stages()
        if f"{kind}/{key}" not in referred and not locks.is_held(store.lock_path(kind, key))
    ]


def _behind_boards(store: Store) -> set[str]:
    """What the boards' plans refer to, and what their rows were made from, should a source no longer be there."""
    boards: list[Path] = sorted((store.root / "boards").glob("*/data.json"))
    if not boards:
        raise BridgebenchError(
            f"there is no board in {store.root}, so everything would count as unused.",
            "name the recipes to keep:  bridgebench gc --keep quickstart",
        )
    referred: set[str] = set()
    for data in map(read_data, boards):
        keys = [key for row in data["rows"] for key in (row.get("stage_keys") or {}).values()]
        for row in data["rows"]:
            keys += [key for each in (row.get("benchmarks") or {}).values() for key in each["stage_keys"].values()]
        referred |= _closure(store, keys)
        if "recipe" in data:
            with contextlib.suppress(BridgebenchError):
                plan = make_plan(Recipe.model_validate(data["recipe"]), store.root / "downloads")
                referred |= {stage.name for stage in plan.stages}
    return referred


def _analyses_of(store: Store, referred: set[str]) -> set[str]:
    """Finished analyses of checkpoints that stay, with the data they were measured on."""
    kept: set[str] = set()
    for kind, key in store.stages():
        if kind in ("analyze", "analysis") and store.manifest(kind, key) is not None:
            behind = _closure(store, [f"{kind}/{key}"])
            own = _measured(store, key) if kind == "analysis" else behind
            if {name for name in own if name.startswith(("train/", "convert/"))} <= referred:
                kept |= behind
    return kept


def _measured(store: Store, key: str) -> set[str]:
    """The checkpoints that an `analysis` stage is about; a reward model beside them is not one."""
    inputs = (store.manifest("analysis", key) or {}).get("inputs", {})
    return {name for role, name in inputs.items() if role.startswith((MODEL, REFERENCE))}


def _closure(store: Store, names: list[str]) -> set[str]:
    """``names`` (``kind/key``) and all that their manifests were made from."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            manifest = store.manifest(*split_name(name)) or {}
            waiting += manifest.get("inputs", {}).values()
    return found


def named(store: Store, keys: tuple[str, ...]) -> Found:
    """(kind, key, bytes) of the stages that ``keys`` name."""
    found = [store.find(key) for key in keys]
    return [(kind, key, directory_bytes(store.path(kind, key))) for kind, key in found]


def remove(store: Store, kind: str, key: str) -> int:
    """Remove one stage under its lock; returns the bytes freed."""
    with store.lock(kind, key):
        return store.remove(kind, key)
