"""Our own verdict: one word between delimiters that carry a nonce of the request.

A text that the judge quotes cannot know the nonce, so no answer under judgment can speak in its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection

VERDICTS = ("A", "B", "tie")


def delimiters(nonce: str) -> tuple[str, str]:
    """(opening, closing) marks of the verdict."""
    return f"<verdict-{nonce}>", f"</verdict-{nonce}>"


def parse(text: str, nonce: str, verdicts: Collection[str] = VERDICTS) -> str | None:
    """The verdict if exactly one distinct value stands between the delimiters and it is allowed; else None."""
    opening, closing = (re.escape(mark) for mark in delimiters(nonce))
    found = {match.strip() for match in re.findall(f"{opening}(.*?){closing}", text, re.DOTALL)}
    value = found.pop() if len(found) == 1 else None
    return value if value in verdicts else None


def preference(verdict: str, model_position: str) -> float:
    """Preference for the model, which was shown as ``model_position`` ("A" or "B")."""
    if verdict == "tie":
        return 0.5
    return 1.0 if verdict == model_position else 0.0
