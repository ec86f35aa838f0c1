"""The client: one request, as many attempts as it takes and the budget allows, one `Answer`."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from types import TracebackType

import httpx

from harness.endpoint import parse, retry
from harness.endpoint.budget import Budget
from harness.endpoint.messages import INFRASTRUCTURE, Answer, ChatRequest, Usage
from harness.endpoint.settings import EndpointSettings
from harness.errors import EnvironmentFault

LARGEST_BODY = 16 << 20  # an endless answer is cut here, if not by its time-out
SHOWN = 200  # characters of a server's words in our messages


class EndpointRefused(EnvironmentFault):
    """The endpoint refuses every request: wrong key, wrong address, unknown model."""


@dataclass(frozen=True)
class _Attempt:
    """One exchange; ``used`` None means that nobody knows what it cost."""

    answer: parse.Parsed | None = None
    fault: str = ""
    again: bool = False
    wait: float | None = None
    used: tuple[int, int] | None = None
    fatal: EndpointRefused | None = None


class Client:
    """An open connection pool to one endpoint; use it with ``async with``. Its repr and its errors hold no key."""

    def __init__(self, settings: EndpointSettings, budget: Budget | None = None, *, seed: int | None = None) -> None:
        self.settings = settings
        self.budget = budget or Budget.of(settings)
        self._secret = settings.secret()
        self._random = random.Random(seed)
        self._not_before = 0.0
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Client:
        headers = {"authorization": f"Bearer {self._secret.reveal()}"} if self._secret else {}
        limits = httpx.Limits(max_connections=self.settings.concurrency)
        self._http = httpx.AsyncClient(headers=headers, limits=limits, timeout=None, follow_redirects=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    def __repr__(self) -> str:
        return f"Client({self.settings.base_url!r}, model={self.settings.model!r}, key={self._secret!r})"

    async def ask(self, request: ChatRequest) -> Answer:
        """Send ``request`` until an answer comes or its attempts are used up; a failure is an `Answer` with its kind.

        Raises BudgetExhausted before an attempt that might exceed the budget, and EndpointRefused where every request
        would fail alike.
        """
        usage = Usage()
        attempt = _Attempt()
        for number in range(1, self.settings.max_attempts + 1):
            await self._wait_for_turn()
            attempt, cost = await self._paid_attempt(request)
            usage = usage.plus(cost)
            if attempt.answer is not None:
                return self._answered(request, attempt.answer, usage, number)
            too_long = (attempt.wait or 0.0) > self.settings.longest_wait_seconds
            if not attempt.again or too_long or number == self.settings.max_attempts:
                break
            await self._pause(attempt, number)
        return Answer.failed(INFRASTRUCTURE, attempt.fault, usage, number)

    def _answered(self, request: ChatRequest, parsed: parse.Parsed, usage: Usage, attempts: int) -> Answer:
        wants_logprobs = request.top_logprobs is not None
        failure = parse.shortcoming(parsed, wants_logprobs=wants_logprobs)
        return Answer(parsed.text, parsed.logprobs, parsed.finish_reason, parsed.model, usage, attempts, failure)

    async def _wait_for_turn(self) -> None:
        """A Retry-After holds up all requests, not only the one that was told."""
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _pause(self, attempt: _Attempt, number: int) -> None:
        jittered = retry.backoff(number, self.settings.backoff_seconds, self._random)
        if attempt.wait is None:
            await asyncio.sleep(jittered)
            return
        self._not_before = max(self._not_before, time.monotonic() + attempt.wait)
        await asyncio.sleep(attempt.wait + min(jittered, attempt.wait))  # those held up do not come all at once

    async def _paid_attempt(self, request: ChatRequest) -> tuple[_Attempt, Usage]:
        reservation = await self.budget.reserve(request.most_prompt_tokens(), request.max_tokens)
        used: tuple[int, int] | None = None
        try:
            attempt = await self._attempt(request)
            used = attempt.used
        finally:
            # also when cancelled in flight: nobody will tell what that cost, so the worst case counts
            cost = await asyncio.shield(self.budget.settle(reservation, used))
        if attempt.fatal is not None:
            raise attempt.fatal
        return attempt, cost

    async def _attempt(self, request: ChatRequest) -> _Attempt:
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                status, headers, body = await self._exchange(request)
        except TimeoutError:
            return _Attempt(fault=f"timeout: no whole answer in {self.settings.timeout_seconds:g} s", again=True)
        except httpx.ConnectError as error:
            return _Attempt(fault=f"no_connection: {self._said(str(error))}", again=True, used=(0, 0))
        except _Endless:
            return _Attempt(fault=f"endless: more than {LARGEST_BODY} bytes", again=True)
        except httpx.HTTPError as error:
            return _Attempt(fault=f"cut: {type(error).__name__} {self._said(str(error))}".rstrip(), again=True)
        if status != 200:
            return self._refused(status, headers, body)
        return self._parsed(body)

    async def _exchange(self, request: ChatRequest) -> tuple[int, httpx.Headers, bytes]:
        assert self._http is not None, "use the client with async with"
        url = self.settings.base_url.rstrip("/") + "/chat/completions"
        content = json.dumps(request.body(self.settings.model)).encode()
        headers = {"content-type": "application/json"}
        async with self._http.stream("POST", url, content=content, headers=headers) as response:
            body = bytearray()
            async for block in response.aiter_bytes():
                body += block
                if len(body) > LARGEST_BODY:
                    raise _Endless
        return response.status_code, response.headers, bytes(body)

    def _refused(self, status: int, headers: httpx.Headers, body: bytes) -> _Attempt:
        said = self._said(parse.error_message(body))
        if status in retry.FATAL_STATUS:
            return _Attempt(fatal=self._refusal(status, said), used=(0, 0))
        # before a 4xx the request was not worked on; a 5xx may come after the work was done and counted
        used = (0, 0) if status < 500 else None
        again = status in retry.RETRIED_STATUS
        wait = retry.retry_after(headers)
        if wait is not None and wait > self.settings.longest_wait_seconds:
            said = f"it asks to wait {wait:.0f} s; {said}"
        return _Attempt(fault=f"http_{status}: {said}", again=again, wait=wait, used=used)

    def _refusal(self, status: int, said: str) -> EndpointRefused:
        return EndpointRefused(
            f"{self.settings.base_url} refuses (HTTP {status}) model {self.settings.model}: {said}",
            f"check the address, the model's name and the key in {self.settings.api_key_env or 'api_key_env'}",
        )

    def _parsed(self, body: bytes) -> _Attempt:
        try:
            parsed = parse.completion(self._secret.mask_answer(body) if self._secret else body)
        except ValueError as error:
            return _Attempt(fault=f"malformed_json: {self._said(str(error))}", again=True)
        return _Attempt(answer=parsed, used=parsed.used)

    def _said(self, text: str) -> str:
        whole = self._secret.mask(text) if self._secret else text
        return " ".join(whole.split())[:SHOWN]  # masked before it is cut: half a key is no longer found


class _Endless(Exception):
    """The body does not end."""
