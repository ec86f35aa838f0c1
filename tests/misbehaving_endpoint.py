"""A local chat endpoint that misbehaves on purpose, and counts what it did: requests, tokens, how many at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Reply = dict[str, Any] | bytes | str
"""A JSON body, raw bytes for a body, or one of the words in `Endpoint._misbehave`."""
Behave = Callable[[dict[str, Any], int], Reply]
"""(request body, attempt number of this body, from 1) → reply."""


def prompt_tokens(body: dict[str, Any]) -> int:
    """This endpoint's own count: about as many as a real tokenizer makes."""
    return sum(len(str(message["content"])) // 3 + 4 for message in body["messages"]) + 3


def said(text: str, tokens: int = 1, **more: Any) -> dict[str, Any]:
    return {"text": text, "tokens": tokens, **more}


@dataclass
class Endpoint:
    """Runs in a thread of its own; ``url`` is its base address."""

    behave: Behave
    requests: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    tokens: int = 0
    now: int = 0
    most: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.headers.append(headers)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            identity = json.dumps(body["messages"])
            self.requests[identity] += 1
            self.bodies.append(body)
            return await self._reply(reader, writer, body, self.behave(body, self.requests[identity]))
        finally:
            self.now -= 1

    async def _reply(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any], reply: Reply
    ) -> bool:
        if isinstance(reply, str):
            return await self._misbehave(reader, writer, body, reply)
        if isinstance(reply, bytes):
            self._count(body, 1)
            await _send(writer, 200, reply)
            return True
        completion = min(reply["tokens"], body["max_tokens"])
        self._count(body, completion)
        await _send(writer, 200, json.dumps(self._completion(body, reply, completion)).encode())
        return True

    def _count(self, body: dict[str, Any], completion: int) -> None:
        self.tokens += prompt_tokens(body) + completion

    def _completion(self, body: dict[str, Any], reply: dict[str, Any], completion: int) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply["text"], "refusal": reply.get("refusal")}
        choice = {"index": 0, "message": message, "finish_reason": reply.get("finish_reason", "stop")}
        if reply.get("top") is not None:
            top = [{"token": token, "logprob": value} for token, value in reply["top"].items()]
            choice["logprobs"] = {
                "content": [{"token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top}]
            }
        prompt = prompt_tokens(body)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {"model": "the-judge-0001", "choices": [choice], "usage": usage}

    async def _misbehave(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any], word: str
    ) -> bool:
        kind, _, argument = word.partition(":")
        if kind == "429":
            headers = f"Retry-After: {argument}\r\n" if argument else ""
            await _send(writer, 429, b'{"error": {"message": "slow down"}}', headers)
            return True
        if kind.isdigit():
            if int(kind) >= 500:  # it had worked on it
                self._count(body, body["max_tokens"])
            await _send(writer, int(kind), json.dumps({"error": {"message": argument or "it broke"}}).encode())
            return True
        self._count(body, body["max_tokens"])
        if kind == "hang":
            await reader.read(1)  # until the other side gives up
        if kind == "cut":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"choices": [')
            await writer.drain()
        if kind == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(int(argument or 10**9)):
                writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)
        return False


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: str = "") -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@contextlib.contextmanager
def endpoint(behave: Behave, port: int = 0) -> Iterator[Endpoint]:
    """Serve while the block runs."""
    served = Endpoint(behave)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def main() -> None:
        server = await asyncio.start_server(served._serve, "127.0.0.1", port, limit=1 << 22)
        served.port = server.sockets[0].getsockname()[1]
        served_until = loop.create_future()
        finish.append(lambda: served_until.set_result(None))
        started.set()
        await served_until
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task

    finish: list[Callable[[], None]] = []
    thread = threading.Thread(target=lambda: (loop.run_until_complete(main()), loop.close()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(finish[0])
        thread.join(10)
