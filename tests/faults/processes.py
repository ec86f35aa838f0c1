"""The processes of one trial, known by a variable in their environment that children inherit."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BRIDGEBENCH_FAULT_TRIAL"
ROLES = {
    "judge server": "tests.faults.judge_server",
    "engine": "harness.backends.job",
    "trainer": "trainers",
}
LEASH = "harness.leash"


@dataclass(frozen=True)
class Process:
    """One living process; ``role`` is driver, trainer, engine or other."""

    pid: int
    role: str
    command: str


def of_trial(marker: str) -> list[Process]:
    """Every living process that carries ``marker``."""
    wanted = f"{VARIABLE}={marker}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                    found.append(Process(int(folder.name), role_of(words), " ".join(words).strip()))
            except OSError:
                continue  # it ended meanwhile
    return [process for process in found if process.command]


def role_of(words: list[str]) -> str:
    """What the words of a command line say it is; a child still on its leash is already what it will be."""
    modules = [after for before, after in itertools.pairwise(words) if before == "-m"]
    if LEASH in modules:
        modules = [module for module in modules if module != LEASH]
    for role, module in ROLES.items():
        if module in modules:
            return role
    return "driver" if "harness" in modules else "other"


def end(found: list[Process]) -> None:
    """Kill them; one that is gone already is no error."""
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def wait_until_gone(marker: str, seconds: float) -> list[Process]:
    """Wait at most ``seconds``; returns those that are still there."""
    deadline = time.monotonic() + seconds
    while (left := of_trial(marker)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
