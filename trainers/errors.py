"""The one error that a user can cause here; shown as a paragraph, never as a traceback."""

from __future__ import annotations

USAGE, ENVIRONMENT, INTEGRITY, INTERRUPTED = 2, 3, 4, 130


class TrainerError(Exception):
    """What happened and on which item (``message``), what to do (``hint``), and the process's exit code."""

    def __init__(self, message: str, hint: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message, self.hint, self.exit_code = message, hint, exit_code

    def show(self) -> str:
        """``error: message``, the hint indented below."""
        return "\n".join([f"error: {self.message}", *(f"       {line}" for line in self.hint.splitlines())])
