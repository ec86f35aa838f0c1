"""One trial: inflict, run again to the end, and say what was lost, done twice or left behind."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import locks
from tests.faults import comparison, processes
from tests.faults.baseline import Baseline
from tests.faults.deck import Card
from tests.faults.driver import Driver
from tests.faults.judge_server import JudgeServer
from tests.faults.scene import Scene

TO_VANISH = 15  # seconds that the children of a killed driver have


@dataclass
class Record:
    """What became of a trial; each list holds sentences, and is empty if all is well."""

    fault: str
    seed: str
    seconds: float = 0.0
    skipped: str | None = None
    log: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Nothing went wrong."""
        return not (self.wrong or self.lost or self.duplicated or self.leaked)

    def as_json(self) -> dict[str, Any]:
        """Without what is empty."""
        return {name: value for name, value in asdict(self).items() if value or name == "seconds"}


def play(card: Card, recipe: Path, baseline: Baseline, judge: JudgeServer) -> Record:
    """Do one trial in a temporary folder."""
    record = Record(card.fault.name, card.seed, skipped=card.fault.impossible())
    if record.skipped is not None:
        return record
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fault-") as folder:
        judge.ensure()
        scene = Scene(Path(folder), recipe, baseline, judge, random.Random(card.seed))
        try:
            card.fault.inflict(scene)
            record.leaked += left_behind(scene)
            before = comparison.finished(scene.store)
            again = converge(scene, record)
            judge_convergence(scene, record, before, again)
        finally:
            processes.end(processes.of_trial(scene.marker))  # should the trial itself be interrupted
        record.log, record.wrong = scene.log, scene.wrong
    record.seconds = round(time.monotonic() - began, 1)
    return record


def left_behind(scene: Scene) -> list[str]:
    """Processes that outlived their driver, which are then ended, and locks that nobody gives back.

    A process that ends gives back its memory first, and with it what tells that it is of this trial, its locks last.
    """
    began = time.monotonic()
    left = processes.wait_until_gone(scene.marker, TO_VANISH)
    while (held := held_locks(scene.store)) and not left and time.monotonic() - began < TO_VANISH:
        time.sleep(0.02)
    scene.log["seconds_to_vanish"] = round(time.monotonic() - began, 2)
    processes.end(left)
    held = [] if left else held
    return [f"{each.role} {each.command}" for each in left] + [f"the lock {path.name} is held" for path in held]


def held_locks(store: Path) -> list[Path]:
    """The store's lock files that some process holds."""
    return [path for path in (store / ".locks").glob("*.lock") if locks.is_held(path)]


def converge(scene: Scene, record: Record) -> Driver:
    """Run to the end."""
    scene.judge.ensure()
    run = scene.start()
    code = run.end()
    scene.log["rerun"] = {"exit_code": code, "executed": len(run.names("finished")), "reused": len(run.names("reused"))}
    if code != 0:
        record.lost.append(f"the rerun ended with {code}: {run.errors}")
    record.leaked += left_behind(scene)
    return run


def judge_convergence(scene: Scene, record: Record, before: dict[str, str], again: Driver) -> None:
    """Compare with the undisturbed run, and with what was finished before the rerun."""
    record.lost += comparison.differences(scene.baseline.content, comparison.content(scene.store))
    after = comparison.finished(scene.store)
    record.lost += [f"{name} is no longer finished" for name in before.keys() - after.keys()]
    twice = {name for name, moment in before.items() if name in after and after[name] != moment}
    twice |= before.keys() & set(again.names("finished"))
    ends = Counter(name for run in scene.runs for name in run.names("finished"))
    twice |= {name for name, count in ends.items() if count > 1}
    record.duplicated += [f"{name} was done again" for name in sorted(twice)]
    for run in scene.runs:
        scene.require("Traceback" not in run.errors, f"a traceback was shown: {run.errors}")
