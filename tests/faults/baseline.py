"""The undisturbed run that every trial is compared with, and where its time went."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store import FOLDERS, MANIFEST, Store
from tests.faults import comparison
from tests.faults.driver import Driver

TRAINER = ("convert", "tokenize", "reference", "train")
ENGINE = ("generate",)
OWN = ("judge", "aggregate")
PREPARED = ("convert", "tokenize")
SIGNS = ("started", "progress", "finished")


@dataclass(frozen=True)
class Moment:
    """``seconds`` after the ``event``-th sign of life of ``stage``: 0 is its start, n its n-th progress event."""

    stage: str
    event: int
    seconds: float


@dataclass(frozen=True)
class Baseline:
    """Its store, what the store holds, and when (in seconds) each stage gave its signs of life; the last is its end."""

    store: Path
    content: dict[str, Any]
    signs: dict[str, list[float]]

    def moment(self, kinds: tuple[str, ...], rng: random.Random, done: Collection[str] = ()) -> Moment:
        """Uniform over the time that stages of ``kinds`` ran, those that are ``done`` left out."""
        gaps = [
            (stage, number, end - begin)
            for stage, times in self.signs.items()
            if stage.split("/")[0] in kinds and stage not in done
            for number, (begin, end) in enumerate(itertools.pairwise(times))
        ]
        stage, number, length = rng.choices(gaps, [length for _, _, length in gaps])[0]
        return Moment(stage, number, rng.uniform(0, length))

    def copy_before(self, kinds: tuple[str, ...], store: Path) -> None:
        """Start ``store`` with what was done before the stages of ``kinds`` began."""
        if any(kind in kinds for kind in TRAINER):
            wanted = PREPARED
        elif any(kind in kinds for kind in ENGINE):
            wanted = TRAINER
        else:
            wanted = (*TRAINER, *ENGINE)
        for kind in wanted:
            shutil.copytree(self.store / FOLDERS[kind], store / FOLDERS[kind])

    def copy_all(self, store: Path) -> None:
        """Start ``store`` with everything done."""
        shutil.copytree(self.store, store)


def make(store: Path, recipe: Path) -> Baseline:
    """Run the recipe undisturbed. Raises RuntimeError if it does not end well."""
    run = Driver(store, recipe, "undisturbed")
    if run.end() != 0:
        raise RuntimeError(f"the undisturbed run failed: {run.errors}")
    signs: dict[str, list[float]] = {}
    for seconds, event in run.events:
        if event["event"] in SIGNS:
            signs.setdefault(event["stage"], []).append(seconds)
    return Baseline(store, comparison.content(store), {name: until_written(run, name, signs[name]) for name in signs})


def until_written(run: Driver, stage: str, signs: list[float]) -> list[float]:
    """The signs of a stage, of which the last is the moment its manifest was written.

    A driver tells of the end when the process has ended, seconds later: an engine answers for other stages first.
    """
    kind, key = stage.split("/")
    written = (Store(run.store).path(kind, key) / MANIFEST).stat().st_mtime - run.began_at
    return [*signs[:-1], min(signs[-1], max(written, signs[-2]))]
