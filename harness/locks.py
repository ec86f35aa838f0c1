"""Locks on stage directories that live as long as any process working in them.

``flock`` belongs to the open file, and a child that inherits the descriptor keeps the lock. So when the driver
is killed, its lock stays held until the trainer or engine it started is gone too, and a second run waits
instead of writing into the same directory. (Lock libraries hide the descriptor, hence these few lines.)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the lock file ``path``; yields its inheritable descriptor. ``on_wait`` is called once if another
    holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.set_inheritable(descriptor, True)
        yield descriptor
    finally:
        os.close(descriptor)


def fault(path: Path) -> str | None:
    """What is wrong with locks on the file system of ``path``, a file made for the question; None if they work."""
    try:
        with exclusive(path):
            return None if is_held(path) else "every process is granted the same lock"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock file ``path`` now."""
    if not path.exists():
        return False
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path) -> int:
    """A descriptor that can be locked; network file systems want a writable one, a read-only store has none."""
    try:
        return os.open(path, os.O_RDWR)
    except OSError:
        return os.open(path, os.O_RDONLY)
