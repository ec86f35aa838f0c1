"""``python -m tests.fuzz TARGET --seconds N``: run atheris; ``--minimise`` keeps the inputs that reach more lines.

What the fuzzer finds worth keeping lies in ``.fuzz/TARGET/``, crashes as ``.fuzz/TARGET-crash-…``. A crash becomes a
test in `tests.test_fuzz` and stays in the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
WORK = Path(".fuzz")
INSTRUMENTED = ["harness", "yaml", "markdown_it", "jinja2"]
LONGEST = 2048
MOST_BYTES = 25_000
"""Of one target's corpus."""


def main() -> None:
    """Fuzz, or reduce what fuzzing found to a corpus."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--minimise", action="store_true")
    options = parser.parse_args()
    (WORK / options.target).mkdir(parents=True, exist_ok=True)
    (CORPUS / options.target).mkdir(parents=True, exist_ok=True)
    minimise(options.target) if options.minimise else fuzz(options.target, options.seconds)


def fuzz(name: str, seconds: int) -> None:
    """Run the fuzzer; it ends the process, with a code other than 0 after a finding."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: make fuzz TARGET=… installs it")
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz import targets
    if name not in targets.TARGETS:
        sys.exit(f"there is no target {name}; there are {', '.join(targets.TARGETS)}")
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=30", "-rss_limit_mb=3000"]
    told = [*limits, "-print_final_stats=1", f"-artifact_prefix={WORK / name}-"]
    atheris.Setup([sys.argv[0], *told, str(WORK / name), str(CORPUS / name)], lambda data: targets.run(name, data))
    atheris.Fuzz()


def minimise(name: str) -> None:
    """Rewrite the target's corpus: its inputs and the fuzzer's, shortest first, each that reaches a new line."""
    from tests.fuzz import targets

    found = {path.read_bytes() for folder in (CORPUS, WORK) for path in (folder / name).iterdir()}
    seen: set[tuple[str, int]] = set()
    kept: list[bytes] = []
    for data in sorted(found, key=lambda each: (len(each), each)):
        reached = lines(targets.run, name, data)
        if not reached <= seen and sum(map(len, kept)) + len(data) <= MOST_BYTES:
            seen |= reached
            kept.append(data)
    for path in (CORPUS / name).iterdir():
        path.unlink()
    for data in kept:
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{name}: {len(kept)} of {len(found)} inputs kept, {sum(map(len, kept))} bytes, {len(seen)} lines")


def lines(function: Callable[..., Any], *arguments: Any) -> set[tuple[str, int]]:
    """The lines of the packages under test that a call reaches, and what it returns."""
    reached: set[tuple[str, int]] = set()
    ours: dict[str, bool] = {}

    def inside(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return inside

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in ours:
            ours[file] = any(f"/{name}/" in file for name in INSTRUMENTED)
        return inside if ours[file] else None

    sys.settrace(entered)
    try:
        returned = function(*arguments)
    finally:
        sys.settrace(None)
    return reached | {(f"returned {returned}", 0)}


if __name__ == "__main__":
    main()
