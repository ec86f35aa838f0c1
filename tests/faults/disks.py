"""Disks that are full or cannot be written to, in a mount namespace of the disturbed run alone.

Nothing is mounted where others see it, and nothing stays mounted: the namespace ends with its last process.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

PAGE = 4096
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
# the disk is filled with what the store holds, the run works on it, and what it left is copied to where others see it
SMALL = (
    'kept="$1"; kib="$2"; shift 2; mount -t tmpfs -o size="$kib"k tmpfs "$0" && cp -a "$kept/." "$0/" || exit 99; '
    '"$@"; code=$?; rm -rf "$kept"; mkdir "$kept" && cp -a "$0/." "$kept/"; exit $code'
)
NAMESPACE = ("unshare", "--map-root-user", "--mount", "sh", "-c")


@functools.cache
def impossible() -> str | None:
    """Why there is no mount namespace here, if there is none."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    done = subprocess.run([*NAMESPACE, "mount -t tmpfs none /tmp"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no mount namespace here: {done.stderr.strip()}"


def read_only(store: Path) -> list[str]:
    """What to put before a command that must find ``store`` read-only."""
    return [*NAMESPACE, READ_ONLY, str(store)]


def small(store: Path, kept: Path, size: int) -> list[str]:
    """What to put before a command whose store is a disk of ``size`` bytes, holding at first what ``kept`` holds, and
    copied back there at the end.
    """
    return [*NAMESPACE, SMALL, str(store), str(kept), str(size // 1024)]


def size(store: Path) -> int:
    """Bytes that the files of ``store`` take on such a disk."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in store.rglob("*") if path.is_file())
