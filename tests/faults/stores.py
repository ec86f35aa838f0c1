"""Faults of the place where a store lies: full, read-only, without locks, with a clock that jumps, used by two."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults import comparison, disks
from tests.faults.baseline import ENGINE, OWN, TRAINER
from tests.faults.kills import PATIENCE, wait_for
from tests.faults.scene import Scene

HERE = Path(__file__).resolve().parent
ALL = (*TRAINER, *ENGINE, *OWN)
YEAR = 365 * 24 * 3600


def prepare(scene: Scene, kinds: tuple[str, ...] | None = None) -> None:
    """Start with all done that comes before the stages of ``kinds``, or before others."""
    scene.baseline.copy_before(kinds or scene.rng.choice((TRAINER, ENGINE, OWN)), scene.store)


class FullDisk:
    """The disk becomes full somewhere between the first file and the last."""

    name = "disk full"

    def impossible(self) -> str | None:
        """Without a mount namespace."""
        return disks.impossible()

    def inflict(self, scene: Scene) -> None:
        """Run on a disk that is too small; what is there when the run gives up is the store."""
        prepare(scene)
        kept = scene.folder / "kept"
        scene.store.rename(kept)
        scene.store.mkdir()
        has, needs = disks.size(kept), disks.size(scene.baseline.store)
        size = has + int(scene.rng.uniform(0.02, 0.8) * (needs - has))
        run = scene.start(wrapper=disks.small(scene.store, kept, size))
        code = run.end()
        scene.store.rmdir()
        kept.rename(scene.store)
        failed = run.names("failed")
        scene.log |= {"running": failed, "exit_code": code, "disk_bytes": size, "needed_bytes": needs}
        told = " ".join([run.errors, *(event.get("why", "") for _, event in run.events)])
        scene.require(code in (1, 3), f"exit code {code} on a full disk: {told}")
        scene.require("disk is full" in told or "No space left" in told, f"the reason is not told: {told}")


class ReadOnlyStore:
    """A half-finished store that can only be read."""

    name = "read-only store"

    def impossible(self) -> str | None:
        """Without a mount namespace."""
        return disks.impossible()

    def inflict(self, scene: Scene) -> None:
        """The run is refused, and nothing changes."""
        prepare(scene)
        before = comparison.content(scene.store)
        run = scene.start(wrapper=disks.read_only(scene.store))
        code = run.end()
        scene.log |= {"running": [], "exit_code": code}
        scene.require(code == 3, f"exit code {code} on a read-only store: {run.errors}")
        scene.require("cannot be written" in run.errors, f"the reason is not told: {run.errors}")
        scene.require(comparison.content(scene.store) == before, "the refused run changed the store")


@dataclass(frozen=True)
class NoLocks:
    """A file system whose ``flock`` is refused, or granted to everybody."""

    mode: str

    @property
    def name(self) -> str:
        """With the mode."""
        return f"locks {self.mode}"

    def impossible(self) -> str | None:
        """Always possible."""
        return None

    def inflict(self, scene: Scene) -> None:
        """The run is refused before a stage begins."""
        prepare(scene)
        before = comparison.content(scene.store)
        run = scene.start(more=broken_locks(self.mode))
        code = run.end()
        scene.log |= {"running": [], "exit_code": code}
        scene.require(code == 3, f"exit code {code} without locks: {run.errors}")
        scene.require("lock" in run.errors and "--results" in run.errors, f"what to do is not told: {run.errors}")
        scene.require(comparison.content(scene.store) == before, "the refused run changed the store")


def broken_locks(mode: str) -> dict[str, str]:
    """The environment of a run whose locks are ``refused`` or ``ignored``."""
    path = os.pathsep.join([str(HERE / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "BRIDGEBENCH_FAULT_LOCKS": mode}


class ClockJump:
    """Files of the store are from the future, and while the run goes on the wall clock jumps, back or forth."""

    name = "clock jump"

    def impossible(self) -> str | None:
        """Without a C compiler for the clock."""
        return None if shutil.which("cc") else "no C compiler (cc) here"

    def inflict(self, scene: Scene) -> None:
        """The run must not notice."""
        prepare(scene)
        soon = time.time() + 10 * YEAR
        for path in scene.store.rglob("*"):
            os.utime(path, (soon, soon))
        after = scene.rng.uniform(0, max(times[-1] for times in scene.baseline.signs.values()))
        by = scene.rng.choice((-1, 1)) * scene.rng.randint(3600, YEAR)
        library = clock(scene.folder)
        at = int(time.time() + after)
        more = {"LD_PRELOAD": str(library), "CLOCK_JUMP_AT": str(at), "CLOCK_JUMP_BY": str(by)}
        run = scene.start(more=more)
        code = run.end()
        scene.log |= {"running": run.names("finished"), "exit_code": code, "after_seconds": after, "by_seconds": by}
        scene.require(code == 0, f"exit code {code} with a jumping clock: {run.errors}")


def clock(folder: Path) -> Path:
    """Compile the clock."""
    library = folder / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "clock.c"), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class TwoDrivers:
    """A second run on the same store begins while the first is at work, which may then be killed."""

    killed: bool = False
    prepared: tuple[str, ...] | None = None
    """The kinds of which no stage is done at the start; None: drawn."""

    @property
    def name(self) -> str:
        """With what becomes of the first."""
        return "two drivers, one killed" if self.killed else "two drivers"

    def impossible(self) -> str | None:
        """Always possible."""
        return None

    def inflict(self, scene: Scene) -> None:
        """The second ends well, and no stage is done twice."""
        prepare(scene, self.prepared)
        moment = scene.baseline.moment(ALL, scene.rng, comparison.finished(scene.store).keys())
        first = scene.start()
        wait_for(first, moment)
        running = scene.running(first)
        second = scene.start()
        if self.killed:
            second.wait_for(lambda event: event["event"] == "begin", 1, PATIENCE)
            running = scene.running(first)
            first.child.kill()
        codes = [first.end(), second.end()]
        scene.log |= {"running": running, "exit_code": codes}
        said = first.errors + second.errors
        expected = -signal.SIGKILL if self.killed and codes[0] != 0 else 0
        scene.require(codes == [expected, 0], f"exit codes {codes} of two drivers: {said}")
