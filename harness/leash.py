"""Run a command that dies with its parent: ``python -m harness.leash PARENT_PID COMMAND …``.

``parent`` in place of the number stands for whatever process started it.

A driver that is killed must not leave a trainer or an engine behind. The kernel keeps the promise (Linux's
parent-death signal survives ``exec``); on other systems the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = os.getppid() if arguments[0] == "parent" else int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)  # the parent died before the leash was on
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
