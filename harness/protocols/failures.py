"""Why a verdict is missing. A missing verdict is never a number."""

from __future__ import annotations

from typing import Literal

Failure = Literal["infrastructure", "unparsed"]

INFRASTRUCTURE: Failure = "infrastructure"
"""The judge's text never came: an error, a time-out, a cut connection."""
UNPARSED: Failure = "unparsed"
"""The text came, but the protocol's rule finds no verdict in it."""

API_ERROR = "$ERROR$"
"""What FastChat and Arena-Hard-Auto store in place of a judgment that they could not get."""


def is_api_error(text: str | None) -> bool:
    """Whether a stored judgment is nothing but error marks (one per attempt), or no text at all."""
    return text is None or (API_ERROR in text and not text.replace(API_ERROR, "").strip())


def kind(text: str | None) -> Failure:
    """The kind of a failure, from the judgment's text: unparsed if the judge said anything."""
    return INFRASTRUCTURE if is_api_error(text) else UNPARSED
