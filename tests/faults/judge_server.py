"""The judge of the trials, a process of its own that can be killed: ``python -m tests.faults.judge_server [PORT]``.

It prints its address, answers each question from the question's text alone, and takes its time, so that a judge stage
lasts long enough to be hit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from tests.misbehaving_endpoint import endpoint, said

ROOT = Path(__file__).resolve().parent.parent.parent
MARKS = re.compile(r"(<verdict-[0-9a-f]+>)your verdict(</verdict-[0-9a-f]+>)")
SECONDS = 0.05  # an answer


def answer(body: dict[str, Any], attempt: int) -> dict[str, Any]:
    """A verdict that depends on the question and on nothing else."""
    time.sleep(SECONDS)
    text = body["messages"][-1]["content"]
    found = MARKS.search(text)
    assert found is not None
    word = "AB"[zlib.crc32(json.dumps(body["messages"]).encode()) % 2]
    return said(f"{found[1]}{word}{found[2]}", tokens=12)


class JudgeServer:
    """Starts the process, kills it, and starts it again at the same address."""

    def __init__(self) -> None:
        self.port = 0
        self.child: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """The address."""
        command = [sys.executable, "-m", "tests.faults.judge_server", str(self.port)]
        self.child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        url = self.child.stdout.readline().strip()
        self.port = int(url.rsplit(":", 1)[1].partition("/")[0])
        return url

    def ensure(self) -> None:
        """Start it unless it runs."""
        if self.child is None or self.child.poll() is not None:
            self.stop()
            self.start()

    def stop(self) -> None:
        """End it and close its pipes."""
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


if __name__ == "__main__":
    with endpoint(answer, int(sys.argv[1]) if len(sys.argv) > 1 else 0) as served:
        print(served.url, flush=True)
        sys.stdin.read()  # until the trial runner is gone
