"""Many requests to one endpoint, no more at once than it allows, each answer handed over as it comes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from harness.endpoint.client import Client
from harness.endpoint.messages import Answer, ChatRequest

Key = TypeVar("Key")


async def answer_all(
    client: Client, requests: Iterable[tuple[Key, ChatRequest]], on_answer: Callable[[Key, Answer], Any]
) -> None:
    """Ask every request once; ``on_answer`` (which stores it) is called in the order in which answers come.

    What it returns is awaited if it can be, before the request's place goes to the next one.

    If one raises (BudgetExhausted, EndpointRefused, or ``on_answer`` itself) no further request is sent, those in
    flight are waited for and handed over, and the first error is raised. Cancelled, it drops what is in flight.
    """
    waiting = iter(requests)
    stop = asyncio.Event()
    workers = [asyncio.create_task(_work(client, waiting, on_answer, stop)) for _ in range(client.settings.concurrency)]
    try:
        outcomes = await asyncio.gather(*workers, return_exceptions=True)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _work(
    client: Client,
    waiting: Iterator[tuple[Key, ChatRequest]],
    on_answer: Callable[[Key, Answer], Any],
    stop: asyncio.Event,
) -> None:
    for key, request in waiting:
        if stop.is_set():
            return
        try:
            stored = on_answer(key, await client.ask(request))
            if inspect.isawaitable(stored):
                await stored
        except BaseException:
            stop.set()
            raise
