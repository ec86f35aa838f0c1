"""A cluster of two Ray nodes on this machine, as `tests.two_ray_nodes` runs it, of which the second can be lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class TwoNodes:
    """The address of the head and the id of the second node."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        assert line, f"the cluster did not start:\n{errors.read_text()[-2000:]}"
        told = json.loads(line)
        self.address, self.second = told["address"], told["second"]

    def kill_second(self) -> None:
        """As a power cut would."""
        assert self.process.stdin is not None
        self.process.stdin.write("kill\n")
        self.process.stdin.flush()


@contextmanager
def two_nodes(errors: Path, more: Mapping[str, str] | None = None) -> Iterator[TwoNodes]:
    """The cluster, ended afterwards; ``more`` goes into its environment, ``errors`` is its log."""
    with errors.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.two_ray_nodes"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(more or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        yield TwoNodes(process, errors)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
