"""A ``bridgebench run --json`` whose events are read as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.processes import VARIABLE

ROOT = Path(__file__).resolve().parent.parent.parent
Event = dict[str, Any]


class Driver:
    """One run; ``wrapper`` is put before the command, ``arguments`` after it, ``more`` into its environment."""

    def __init__(
        self,
        store: Path,
        recipe: Path,
        marker: str,
        *,
        wrapper: Sequence[str] = (),
        arguments: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.events: list[tuple[float, Event]] = []
        self.said: list[str] = []
        self.changed = threading.Condition()
        self.store = store
        self.began, self.began_at = time.monotonic(), time.time()
        self.child = subprocess.Popen(
            [
                *wrapper,
                sys.executable,
                "-m",
                "harness",
                "--results",
                str(store),
                "run",
                str(recipe),
                "--json",
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(more or {}), VARIABLE: marker},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            with self.changed:
                self._take(line)
                self.changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            self.said.append(line.rstrip())
            return
        self.events.append((time.monotonic() - self.began, event))

    def wait_for(self, wanted: Callable[[Event], bool], count: int, seconds: float) -> bool:
        """Whether ``count`` such events came before the end of the run and of ``seconds``."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while sum(wanted(event) for _, event in self.events) < count:
                if time.monotonic() > deadline or not self.reader.is_alive():
                    return False
                self.changed.wait(min(0.1, max(0.001, deadline - time.monotonic())))
        return True

    def end(self, seconds: float = 1800) -> int:
        """Wait for the end; returns the exit code, negative for a signal."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise
        self.reader.join(10)
        if not self.reader.is_alive() and self.child.stderr is not None:
            self.child.stderr.close()
        if self.child.stdout is not None:
            self.child.stdout.close()
        return code

    def names(self, kind: str) -> list[str]:
        """Stages of the events ``kind``, in the order in which they came."""
        with self.changed:
            return [event["stage"] for _, event in self.events if event["event"] == kind]

    def under_way(self) -> set[str]:
        """Stages that began and of whose end nothing was heard."""
        return set(self.names("started")) - set(self.names("finished")) - set(self.names("failed"))

    @property
    def errors(self) -> str:
        """What it said that is no event."""
        return "\n".join(self.said)
