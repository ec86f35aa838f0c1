"""The store seen at one moment: one listing per folder answers for every stage of a plan.

`Store.state` asks the file system several times per stage, which is right for one stage and slow for fifty thousand.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness import locks
from harness.store import FOLDERS, MANIFEST, Store


class Scan:
    """States of stages as they were when this was made; manifests are not opened."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.present = {kind: _names(store.root / folder) for kind, folder in FOLDERS.items()}
        self.locks = _names(store.root / ".locks")

    def state(self, kind: str, key: str) -> str:
        """``done``, ``running``, ``partial`` or ``absent``, as `Store.state`."""
        here = key in self.present[kind]
        if here and self.done(kind, key):
            return "done"
        lock = f"{kind}-{key}.lock"
        if lock in self.locks and locks.is_held(self.store.lock_path(kind, key)):
            return "running"
        return "partial" if here else "absent"

    def done(self, kind: str, key: str) -> bool:
        """Whether the stage's directory has a manifest."""
        # plain strings: a Path object for each of fifty thousand stages takes longer than the question
        return os.path.exists(f"{self.store.root}{os.sep}{FOLDERS[kind]}{os.sep}{key}{os.sep}{MANIFEST}")  # noqa: PTH110


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
