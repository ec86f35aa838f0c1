"""What runs in a Ray worker: one child, as the driver would start it on its own machine, its events handed on.

Imported on every node, so it needs nothing but the harness there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import locks, process

PLACED, EXIT = "placed", "exit"


def perform(module: str, arguments: Sequence[str], log: Path, held: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Run ``python -m module arguments``; yields where, then its events, at the end ``{"event": "exit", "code"}``.

    The locks ``held`` are the child's too: on a node that the driver lost, a child may live on for a while, and the
    next attempt must not write beside it.
    """
    import ray

    yield {"event": PLACED, "node": ray.get_runtime_context().get_node_id()}
    with contextlib.ExitStack() as stack:
        descriptors = [stack.enter_context(locks.exclusive(path)) for path in held]
        child = process.Child(module, arguments, log, descriptors)
        yield from child.events()
        yield {"event": EXIT, "code": child.code}
