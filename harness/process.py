"""Children of the driver: started on a leash, their stderr logged, their events (JSON lines on stdout) read as they
come.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import masking

GRACE_SECONDS = 20  # for a child to save its state after SIGTERM
TAIL_LINES = 15
# children read what the driver fetched; none of them asks the network
ENVIRONMENT = {
    "TRAINERS_EVENTS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
# small helpers of the engine would be compiled, which needs a C++ compiler; a trainer compiles if its spec says so
OF_MODULE = {"harness.backends.job": {"TORCHDYNAMO_DISABLE": "1"}}
OnEvent = Callable[[dict[str, Any]], None]


NOTHING: Mapping[str, str] = {}


def start(
    module: str,
    arguments: Sequence[str],
    errors: Any,
    descriptors: Sequence[int] = (),
    environment: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[str]:
    """Start ``python -m module arguments`` that dies with the calling thread; ``descriptors`` are inherited."""
    return subprocess.Popen(
        leashed([sys.executable, "-m", module, *arguments]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment_of(module, environment),
        pass_fds=tuple(descriptors),
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def environment_of(module: str, more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """What a child that runs ``module`` finds in its environment: this process's without secrets, and ``more``."""
    return {**masking.without(os.environ), **ENVIRONMENT, **OF_MODULE.get(module, NOTHING), **more}


def leashed(command: Sequence[str]) -> list[str]:
    """``command`` as it is to be started so that it dies with this process (see `harness.leash`)."""
    return [sys.executable, "-m", "harness.leash", str(os.getpid()), *command]


def run_module(
    module: str,
    arguments: Sequence[str],
    log: Path,
    on_event: OnEvent,
    descriptors: Sequence[int] = (),
    environment: Mapping[str, str] = NOTHING,
) -> int:
    """Run ``python -m module arguments`` to its end; returns the exit code.

    ``descriptors`` are locks: inherited, so that a stage stays locked while the child lives. On KeyboardInterrupt the
    child is told to stop, given `GRACE_SECONDS`, and then killed.
    """
    child = Child(module, arguments, log, descriptors, environment)
    for event in child.events():
        on_event(event)
    return child.code


class Child:
    """One ``python -m module arguments`` whose events are read as they come; ``code`` is there when they end."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: Path,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] = NOTHING,
    ) -> None:
        self.log, self.code = log, 0
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self.process = start(module, arguments, errors, descriptors, environment)

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event until the child ends; a reader that gives up stops it."""
        assert self.process.stdout is not None
        try:
            with self.log.open("ab") as errors:
                for line in self.process.stdout:
                    event = parsed(line)
                    if event is None:
                        errors.write(line.encode("utf-8", "replace"))
                    else:
                        yield event
            self.code = self.process.wait()
        finally:
            stop(self.process)


def parsed(line: str) -> dict[str, Any] | None:
    """The event of a line; None for any other line."""
    if not line.startswith('{"event"'):
        return None
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return None  # cut by a kill
    return event


def hand_over(line: str, on_event: OnEvent) -> bool:
    """Give an event line to ``on_event``; False for any other line."""
    event = parsed(line)
    if event is not None:
        on_event(event)
    return event is not None


def stop(child: subprocess.Popen[str]) -> None:
    """End a child that still runs, politely first."""
    end(child)
    if child.stdout is not None:
        child.stdout.close()


def end(child: subprocess.Popen[str]) -> None:
    """`stop` for a child whose output another thread still reads."""
    if child.stdin is not None and not child.stdin.closed:
        with contextlib.suppress(BrokenPipeError):  # it died with an order unread
            child.stdin.close()
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class TrainerWorker:
    """One ``python -m trainers --worker``, started when first needed, and again after it died."""

    def __init__(self, environment: Mapping[str, str] = NOTHING) -> None:
        self.environment = environment
        self.child: subprocess.Popen[str] | None = None

    def run(self, spec: Path, log: Path, on_event: OnEvent) -> int:
        """Run one spec; returns its exit code, negative for the signal that ended the worker."""
        log.parent.mkdir(parents=True, exist_ok=True)
        order = json.dumps({"spec": str(spec), "log": str(log)}) + "\n"
        try:
            child = self._ordered(order, log)
        except BrokenPipeError:  # it was ended after its last spec, and this one never reached it
            self.close()
            child = self._ordered(order, log)
        assert child.stdout is not None
        codes: list[int] = []
        for line in child.stdout:
            hand_over(
                line,
                lambda event: codes.append(event["code"]) if event["event"] == "exit" else on_event(event),
            )
            if codes:
                return codes[0]
        return child.wait()

    def _ordered(self, order: str, log: Path) -> subprocess.Popen[str]:
        """The worker, started if need be, with ``order`` in its standard input. Raises BrokenPipeError."""
        if self.child is None or self.child.poll() is not None:
            self.close()
            with log.open("ab") as errors:
                self.child = start("trainers", ["--worker"], errors, environment=self.environment)
        assert self.child.stdin is not None
        self.child.stdin.write(order)
        self.child.stdin.flush()
        return self.child

    def close(self) -> None:
        """End the worker; what it holds is freed before an engine starts."""
        if self.child is not None:
            stop(self.child)
            self.child = None


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The end of a log, for an error report."""
    if not log.exists():
        return ""
    text = log.read_bytes()[-20_000:].decode("utf-8", "replace")
    return "\n".join(text.replace("\r", "\n").strip().splitlines()[-lines:])


def reason(log: Path) -> str:
    """The last ``error:`` paragraph of a log, or its tail."""
    text = tail(log, 200)
    start = text.rfind("error: ")
    return text[start:].removeprefix("error: ") if start >= 0 else tail(log)
