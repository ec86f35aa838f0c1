"""Errors a user can cause, and the exit code each carries.

BridgebenchError (2 unless said otherwise)
├── ConfigError        2  a recipe, flag or reference is wrong
├── EnvironmentFault   3  a package, memory, disk space or a device is missing
├── IntegrityError     4  a stored file is not what its manifest says
└── StageFailed        1  one cell of the matrix failed; the others go on
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from harness import masking


class BridgebenchError(Exception):
    """A mistake or fault that is shown as one paragraph, never as a traceback.

    ``message`` says what happened and on which item; ``hint`` is the command or setting that helps.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def show(self) -> str:
        """The text for the terminal: ``error: message`` and, indented below, the hint.

        Holds no secret of the environment, and nothing that a terminal obeys or cannot print.
        """
        lines = [f"error: {self.message}"]
        lines += [f"       {line}" for line in self.hint.splitlines()]
        return plain(masking.mask("\n".join(lines)))


def plain(text: str) -> str:
    """``text`` with control characters (but line ends and tabs) and lone surrogates as ``?``."""
    return "".join("?" if unicodedata.category(each) in ("Cc", "Cs") and each not in "\n\t" else each for each in text)


class ConfigError(BridgebenchError):
    """Wrong use or wrong configuration."""

    exit_code = 2


class EnvironmentFault(BridgebenchError):
    """The machine lacks something: a package, memory, disk space, a GPU."""

    exit_code = 3


class IntegrityError(BridgebenchError):
    """A stored file differs from what its manifest recorded."""

    exit_code = 4


class StageFailed(BridgebenchError):
    """One stage failed; its log has the reason."""

    exit_code = 1


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``' Did you mean "x"?'`` for the closest known name, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f' Did you mean "{close[0]}"?' if close else ""
