"""Loaded by every Python process that has this folder on its PYTHONPATH: a file system whose locks do not work.

BRIDGEBENCH_FAULT_LOCKS is ``refused`` (as a file system without locks answers) or ``ignored`` (as one that says yes to
everybody).
"""

import errno
import fcntl
import os

MODE = os.environ.get("BRIDGEBENCH_FAULT_LOCKS")


def flock(descriptor, operation):
    """What such a file system does in place of ``fcntl.flock``."""
    if MODE == "refused":
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


if MODE:
    fcntl.flock = flock
