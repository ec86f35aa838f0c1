"""Where processes take connections, and which processes a process has started."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and ::ffff:127.0.0.1 as the kernel writes them."""
LISTENING = "0A"


def listening(processes: Iterable[int]) -> list[str]:
    """Addresses (hexadecimal, as the kernel writes them) on which the processes take connections."""
    inodes = set()
    for pid in processes:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [line[1].partition(":")[0] for line in lines if line[3] == LISTENING and line[9] in inodes]


def family(pid: int) -> list[int]:
    """The process and all that descend from it, the process first."""
    parents = {
        int(folder.name): parent(int(folder.name)) for folder in Path("/proc").iterdir() if folder.name.isdigit()
    }
    found = [pid]
    for member in found:  # grows while it is read
        found += [child for child, of in parents.items() if of == member]
    return found


def parent(pid: int) -> int:
    """The parent's id; 0 for a process that is gone."""
    try:
        # behind the name, which is in brackets and may hold spaces: state, parent
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
