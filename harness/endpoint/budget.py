"""A cap on tokens and money that stops before it is exceeded.

Every attempt reserves its worst case before it is sent, and gives back what it did not use when the endpoint has told
its use. Reservations are written to a ledger first, so that a driver that is killed has still spent what was in flight,
and two runs that share a ledger share one cap.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.endpoint.messages import Usage
from harness.endpoint.settings import BudgetCap, EndpointSettings, Price
from harness.errors import StageFailed

SLACK = 1e-9  # of rounding in sums of money


class BudgetExhausted(StageFailed):
    """The next request might exceed the cap, so it is not sent."""


@dataclass(frozen=True)
class Spent:
    """Reserved and used, in the worst case."""

    tokens: int = 0
    money: float = 0.0


@dataclass(frozen=True)
class Reservation:
    """One attempt's worst case."""

    id: str
    prompt_tokens: int
    completion_tokens: int


class Budget:
    """The cap, what was spent under it, and what is in flight. ``ledger`` None keeps it in memory."""

    def __init__(self, cap: BudgetCap, price: Price | None, ledger: Path | None = None) -> None:
        self.cap, self.price = cap, price
        self.ledger = _Ledger(ledger) if ledger is not None else None
        self._own: dict[str, Spent] = {}
        self._settled = Spent()
        self._run, self._numbers = uuid.uuid4().hex[:12], 0
        self._changed: asyncio.Condition | None = None

    @classmethod
    def of(cls, settings: EndpointSettings, ledger: Path | None = None) -> Budget:
        """The budget that an endpoint's settings name."""
        return cls(settings.budget, settings.price, ledger)

    @property
    def spent(self) -> Spent:
        """All that was settled and is reserved, earlier runs of the same ledger included."""
        if self.ledger is not None:
            self.ledger.catch_up()
            return self.ledger.total()
        return _sum([self._settled, *self._own.values()])

    async def reserve(self, prompt_tokens: int, completion_tokens: int) -> Reservation:
        """Set the worst case aside, waiting for requests in flight if it does not fit beside them.

        Raises BudgetExhausted where it does not fit even then.
        """
        condition = self._condition()
        worst = Spent(prompt_tokens + completion_tokens, self._cost(prompt_tokens, completion_tokens))
        async with condition:
            while not (reserved := self._try(worst, prompt_tokens, completion_tokens)):
                if not self._own:
                    raise self._exhausted(worst)
                await condition.wait()
        return reserved

    async def settle(self, reservation: Reservation, used: tuple[int, int] | None) -> Usage:
        """Replace a reservation by what was used, (prompt, completion) tokens; None: unknown, all of it counts."""
        prompt, completion = used or (reservation.prompt_tokens, reservation.completion_tokens)
        money = self._cost(prompt, completion)
        self._record(reservation.id, Spent(prompt + completion, money))
        condition = self._condition()
        async with condition:
            condition.notify_all()
        charged = money if self.price is not None else None
        if used is None:
            return Usage(unconfirmed_tokens=prompt + completion, money=charged)
        return Usage(prompt, completion, 0, charged)

    def _condition(self) -> asyncio.Condition:
        if self._changed is None:
            self._changed = asyncio.Condition()
        return self._changed

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return self.price.cost(prompt_tokens, completion_tokens) if self.price is not None else 0.0

    def _try(self, worst: Spent, prompt_tokens: int, completion_tokens: int) -> Reservation | None:
        self._numbers += 1
        identity = f"{self._run}-{self._numbers}"
        if self.ledger is not None:
            if not self.ledger.reserve(identity, worst, self.cap):
                return None
        elif not _fits(_sum([self.spent, worst]), self.cap):
            return None
        self._own[identity] = worst
        return Reservation(identity, prompt_tokens, completion_tokens)

    def _record(self, identity: str, used: Spent) -> None:
        del self._own[identity]
        if self.ledger is not None:
            self.ledger.append(identity, used)
        else:
            self._settled = _sum([self._settled, used])

    def _exhausted(self, worst: Spent) -> BudgetExhausted:
        spent, currency = self.spent, self.price.currency if self.price else ""
        parts = []
        if self.cap.tokens is not None:
            used, more = f"{spent.tokens:,} of {self.cap.tokens:,}", f"{worst.tokens:,}"
            parts.append(f"{used} tokens are spent, the next request may need {more}")
        if self.cap.money is not None:
            used, more = f"{spent.money:.4f} of {self.cap.money:.4f} {currency}", f"{worst.money:.4f}"
            parts.append(f"{used} are spent, the next request may cost {more}")
        return BudgetExhausted(
            f"the budget ends here: {'; '.join(parts)}.",
            "answers so far are kept; raise the endpoint's budget and run again to ask for the rest",
        )


class _Ledger:
    """Append-only lines ``{"id", "tokens", "money"}``; the last line of an id counts. Shared by ``flock``."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, Spent] = {}
        self.sum = Spent()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", buffering=0)
        self._offset = 0

    def __del__(self) -> None:
        self._file.close()

    def total(self) -> Spent:
        return self.sum

    def catch_up(self) -> None:
        """Read what other runs have written since the last look."""
        if os.fstat(self._file.fileno()).st_size == self._offset:
            return
        self._file.seek(self._offset)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]  # a torn end: its writer is gone or still writing
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(line)

    def reserve(self, identity: str, worst: Spent, cap: BudgetCap) -> bool:
        """Append a reservation if it fits under ``cap``, as one step among all processes."""
        with self._locked():
            if not _fits(_sum([self.sum, worst]), cap):
                return False
            self._write(_line(identity, worst))
        return True

    def append(self, identity: str, used: Spent) -> None:
        """Write what a reservation came to."""
        with self._locked():
            self._write(_line(identity, used))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock, with everything read and the file at the beginning of a line."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self.catch_up()
            if os.fstat(self._file.fileno()).st_size > self._offset:
                self._write(b"\n")  # a writer was killed in the middle of its line
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _write(self, line: bytes) -> None:
        if self._file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        self.catch_up()

    def _take(self, line: bytes) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # the torn line: its request was never sent, since the reservation is written first
        before = self.entries.get(entry["id"], Spent())
        now = Spent(entry["tokens"], entry["money"])
        self.entries[entry["id"]] = now
        self.sum = Spent(self.sum.tokens + now.tokens - before.tokens, self.sum.money + now.money - before.money)


def _line(identity: str, spent: Spent) -> bytes:
    return (json.dumps({"id": identity, "tokens": spent.tokens, "money": spent.money}) + "\n").encode()


def _fits(total: Spent, cap: BudgetCap) -> bool:
    tokens = cap.tokens is None or total.tokens <= cap.tokens
    return tokens and (cap.money is None or total.money <= cap.money + SLACK)


def _sum(parts: list[Spent]) -> Spent:
    return Spent(sum(part.tokens for part in parts), sum(part.money for part in parts))
