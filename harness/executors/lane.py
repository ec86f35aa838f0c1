"""A thread of the driver that does one thing after another.

A child dies with the thread that started it (`harness.leash`), so a lane lives as long as the driver. It is a daemon:
a driver that was interrupted does not wait for a lane that waits for another run's lock.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Ended = Callable[[BaseException | None], None]
Order = tuple[Callable[[], None], Ended]


class Lane:
    """Started with its first order."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self.idle = threading.Event()
        self.idle.set()
        self.thread: threading.Thread | None = None

    def begin(self, work: Callable[[], None], ended: Ended) -> None:
        """Do ``work`` in the lane, and then call ``ended`` there with what it raised."""
        self.idle.clear()
        if self.thread is None:
            self.thread = threading.Thread(target=self._serve, daemon=True)
            self.thread.start()
        self.orders.put((work, ended))

    def _serve(self) -> None:
        while True:
            work, ended = self.orders.get()
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:  # the main thread decides what it means, KeyboardInterrupt included
                error = raised
            if self.orders.empty():
                self.idle.set()
            ended(error)
