"""``python -m trainers SPEC.json``: read the spec, run its kind, say in one paragraph what went wrong if something did.

With ``--worker`` the specs come on standard input (see `trainers.worker`).

Exit codes: 0 done · 1 training diverged · 2 wrong spec or data · 3 environment · 4 integrity · 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from typing import Any

from trainers import events, spec, worker
from trainers.errors import ENVIRONMENT, INTERRUPTED, USAGE, TrainerError


def main(arguments: list[str]) -> int:
    """Run one spec file, or a worker; returns the exit code."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print("usage: python -m trainers SPEC.json | --worker", file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return worker.serve(run_file) if arguments[0] == "--worker" else run_file(Path(arguments[0]))
    except KeyboardInterrupt:
        return INTERRUPTED


def run_file(path: Path) -> int:
    """Run one spec file; a user's mistake becomes a paragraph and an exit code."""
    try:
        run(spec.read(path))
    except TrainerError as error:
        events.say(error.show())
        return error.exit_code
    except KeyboardInterrupt:
        events.say("interrupted; the same command continues")
        return INTERRUPTED
    except Exception as error:
        fault = environment_fault(error)
        if fault is None:
            raise
        events.say(fault.show())
        return fault.exit_code
    return 0


def run(settings: Any) -> None:
    """Run a spec of any kind, unless its manifest is already there."""
    import transformers

    from trainers.checkpoint import set_threads
    from trainers.distributed import world_size
    from trainers.output import Run

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if world_size() > 1 and settings.kind != "train":
        raise TrainerError(f"{settings.kind} runs in one process.", "only train specs are for torchrun")
    if Run(settings).finished():
        events.say(f"{settings.output} is finished already")
        return
    set_threads(settings.threads)
    _runner(settings.kind)(settings)


def _runner(kind: str) -> Any:
    if kind == "convert":
        from trainers.convert import convert as runner
    elif kind == "tokenize":
        from trainers.tokenize import tokenize as runner  # type: ignore[assignment]
    elif kind == "reference":
        from trainers.reference import reference as runner  # type: ignore[assignment]
    elif kind == "probe":
        from trainers.probe import run_probe as runner  # type: ignore[assignment]
    elif kind == "analyze":
        from trainers.analysis.runner import analyze as runner  # type: ignore[assignment]
    else:
        from trainers.loop import train as runner  # type: ignore[assignment]
    return runner


def environment_fault(error: Exception) -> TrainerError | None:
    """A full disk or exhausted memory as a TrainerError; None for anything else (which deserves its traceback)."""
    text = str(error)
    if (
        (isinstance(error, OSError) and error.errno == errno.ENOSPC)
        or "No space left on device" in text
        or "File too large" in text
    ):
        return TrainerError(
            "the disk is full or a file may not grow; nothing half-written counts as finished.",
            "free some space and run again",
            ENVIRONMENT,
        )
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return TrainerError(
            "there is not enough memory.",
            "lower max_tokens_per_microbatch",
            ENVIRONMENT,
        )
    if isinstance(error, OSError):
        return TrainerError(f"{error.strerror or error}: {error.filename or ''}", exit_code=ENVIRONMENT)
    return None


def end(code: int) -> None:
    """Exit with ``code``; torch is asked how only where it is loaded."""
    if "trainers.distributed" in sys.modules:
        sys.modules["trainers.distributed"].end_process(code)
    sys.exit(code)


if __name__ == "__main__":
    end(main(sys.argv[1:]))
