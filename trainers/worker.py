"""``python -m trainers --worker``: many specs in one process, one after another, so that imports are paid once.

Each line of standard input is ``{"spec": path, "log": path}``; standard error goes to that log while the spec runs,
and the
event ``{"event": "exit", "code": …}`` on standard output ends it. The end of standard input ends the worker.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from trainers.errors import INTERRUPTED

CRASHED = 70  # EX_SOFTWARE: an error of ours; the log has its traceback


def serve(run_one: Callable[[Path], int]) -> int:
    """Run specs until standard input ends; ``run_one`` turns a spec file into an exit code."""
    for line in sys.stdin:
        order = json.loads(line)
        _log_to(Path(order["log"]))
        code = _guarded(run_one, Path(order["spec"]))
        gc.collect()  # the model just trained goes before the next one is loaded
        print(json.dumps({"event": "exit", "code": code}), flush=True)
        if code == INTERRUPTED:
            return code
    return 0


def _guarded(run_one: Callable[[Path], int], spec: Path) -> int:
    try:
        return run_one(spec)
    except Exception:  # what is not a user's mistake is told in full, and the next spec may still run
        traceback.print_exc()
        return CRASHED


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.close(descriptor)
