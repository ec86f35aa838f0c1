"""Answers of a judge on disk: appended one by one and forced to the disk, found again by their question's id.

A kill loses at most what is in flight. Answers of other judge stages are taken over where the id is the same, and with
it everything that could change the answer.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from harness.endpoint import INFRASTRUCTURE, MISSING_LOGPROBS, Answer
from harness.errors import IntegrityError
from harness.judges.question import Question

Line = dict[str, Any]

WORKING_FILE = "answers.jsonl"
FIELDS = (
    "id",
    "prompt_sha256",
    "raw_text",
    "logprobs",
    "finish_reason",
    "answered_by",
    "prompt_tokens",
    "completion_tokens",
    "unconfirmed_tokens",
    "cost",
    "attempts",
    "failure",
    "detail",
)
ASKED_AGAIN = (INFRASTRUCTURE, MISSING_LOGPROBS)
"""Failures of the endpoint. A text that came is an observation, also one without a verdict: asking until an answer fits
would be choosing among answers."""


def line_of(question: Question, answer: Answer) -> Line:
    """The stored form of an answer."""
    return {
        "id": question.id,
        "prompt_sha256": question.prompt_sha256,
        "raw_text": answer.text,
        "logprobs": answer.logprobs,
        "finish_reason": answer.finish_reason,
        "answered_by": answer.model,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "unconfirmed_tokens": answer.usage.unconfirmed_tokens,
        "cost": answer.usage.money,
        "attempts": answer.attempts,
        "failure": answer.failure.kind if answer.failure is not None else None,
        "detail": answer.failure.detail if answer.failure is not None else None,
    }


def is_final(line: Line) -> bool:
    """Whether a rerun leaves the question alone."""
    return line.get("failure") not in ASKED_AGAIN


class AnswerLog:
    """The working file of one judge stage; the last line of an id counts, all of them have been paid for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Line] = {}
        self.tokens = 0
        self.money = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in _whole_lines(path):
            self._take(line)
        self._written = self._synced = 0
        self._disk = asyncio.Lock()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def append(self, line: Line) -> None:
        """Write one answer at once, so that it survives a kill, and return when it would survive a power cut too.

        Answers that come while the disk is busy share the next synchronisation.
        """
        data = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "surrogatepass")
        self._write(data)
        self._take(line)
        self._written += 1
        mine = self._written
        async with self._disk:
            if self._synced < mine:
                reached = self._written
                await asyncio.to_thread(os.fdatasync, self._descriptor)
                self._synced = reached

    def _write(self, data: bytes) -> None:
        """All of ``data`` or, on a full disk, nothing: other answers may still be appended."""
        before = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _take(self, line: Line) -> None:
        self.answers[line["id"]] = line
        self.tokens += line["prompt_tokens"] + line["completion_tokens"] + line["unconfirmed_tokens"]
        self.money += line["cost"] or 0.0


def _whole_lines(path: Path) -> Iterator[Line]:
    """The lines of a working file; a torn last one is cut off, so that the next is not appended to it."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise IntegrityError(f"{path}, line {number}: not valid JSON ({error}).", "remove the line") from None


def elsewhere(judge_folder: Path, own: Path, wanted: Collection[str]) -> dict[str, Line]:
    """Final answers to the questions ``wanted`` that other judge stages have."""
    found: dict[str, Line] = {}
    if not wanted or not judge_folder.is_dir():
        return found
    start = len('{"id": "')
    for folder in sorted(path for path in judge_folder.iterdir() if path != own):
        for name in ("verdicts.jsonl", WORKING_FILE):
            for line in _lines(folder / name):
                if line[start : start + 16].decode("ascii", "replace") in wanted:  # parse only what may fit
                    _keep(found, line, folder.name, wanted)
    return found


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as handle:
            yield from (line for line in handle if line.endswith(b"\n"))


def _keep(found: dict[str, Line], line: bytes, folder: str, wanted: Collection[str]) -> None:
    try:
        stored = json.loads(line)
    except ValueError:
        return
    asked = stored.get("prompt_sha256") is not None and "attempts" in stored
    if stored.get("id") in wanted and asked and is_final(stored):
        taken = {name: stored.get(name) for name in FIELDS}
        taken["completion_tokens"] = stored.get("judge_completion_tokens", stored.get("completion_tokens"))
        found[stored["id"]] = taken | {"detail": _detail(stored), "reused_from": stored.get("reused_from") or folder}


def _detail(stored: Line) -> str | None:
    """A verdict line has ``error``, a kind and its detail; an answer line the detail alone."""
    error = stored.get("error")
    return error.partition(": ")[2] if error else stored.get("detail")
