"""Starting a child, logging its stderr, and reading its events (JSON lines on stdout) as they come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

GRACE_SECONDS = 20  # for a child to save its state after SIGTERM
TAIL_LINES = 15
# children read what the driver fetched; none of them asks the network
ENVIRONMENT = {
    "TRAINERS_EVENTS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}


def run_module(
    module: str,
    arguments: Sequence[str],
    log: Path,
    on_event: Callable[[dict[str, Any]], None],
    lock_descriptors: Sequence[int] = (),
) -> int:
    """Run ``python -m module arguments`` to its end; returns the exit code.

    ``lock_descriptors`` are inherited, so the stage stays locked while the child lives. On KeyboardInterrupt the
    child is told to stop, given `GRACE_SECONDS`, and then killed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    own = [sys.executable, "-m", module, *arguments]
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "harness.leash", str(os.getpid()), *own],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **ENVIRONMENT},
            pass_fds=tuple(lock_descriptors),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                _hand_over(line, errors, on_event)
            return child.wait()
        finally:
            _stop(child)


def _hand_over(line: str, log: Any, on_event: Callable[[dict[str, Any]], None]) -> None:
    if line.startswith('{"event"'):
        try:
            on_event(json.loads(line))
        except ValueError:
            return  # cut by a kill
    else:
        log.write(line.encode("utf-8", "replace"))


def _stop(child: subprocess.Popen[str]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The end of a log, for an error report."""
    if not log.exists():
        return ""
    text = log.read_bytes()[-20_000:].decode("utf-8", "replace")
    return "\n".join(text.replace("\r", "\n").strip().splitlines()[-lines:])


def reason(log: Path) -> str:
    """The last ``error:`` paragraph of a log, or its tail."""
    text = tail(log, 200)
    start = text.rfind("error: ")
    return text[start:].removeprefix("error: ") if start >= 0 else tail(log)
