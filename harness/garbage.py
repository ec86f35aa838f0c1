"""What nothing refers to any more: stages outside every board's plan."""

from __future__ import annotations

from pathlib import Path

from harness import files, locks, recipe_file
from harness.config import Recipe
from harness.errors import BridgebenchError
from harness.plan import make_plan
from harness.store import Store, directory_bytes

Found = list[tuple[str, str, int]]


def unreferenced(store: Store, keep: tuple[str, ...]) -> Found:
    """(kind, key, bytes) of stages that neither the recipes in ``keep`` nor (without ``keep``) any board refers to.

    Stages that a process is working on are left alone.
    """
    recipes = [recipe_file.load(name) for name in keep] or _board_recipes(store)
    referred = {stage.name for recipe in recipes for stage in make_plan(recipe, store.root / "downloads").stages}
    return [
        (kind, key, directory_bytes(store.path(kind, key)))
        for kind, key in store.stages()
        if f"{kind}/{key}" not in referred and not locks.is_held(store.lock_path(kind, key))
    ]


def _board_recipes(store: Store) -> list[Recipe]:
    boards: list[Path] = sorted((store.root / "boards").glob("*/data.json"))
    if not boards:
        raise BridgebenchError(
            f"there is no board in {store.root}, so everything would count as unused.",
            "name the recipes to keep:  bridgebench gc --keep quickstart",
        )
    return [Recipe.model_validate(files.read_json(path)["recipe"]) for path in boards]


def named(store: Store, keys: tuple[str, ...]) -> Found:
    """(kind, key, bytes) of the stages that ``keys`` name."""
    found = [store.find(key) for key in keys]
    return [(kind, key, directory_bytes(store.path(kind, key))) for kind, key in found]


def remove(store: Store, kind: str, key: str) -> int:
    """Remove one stage under its lock; returns the bytes freed."""
    with store.lock(kind, key):
        return store.remove(kind, key)
