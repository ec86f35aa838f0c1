"""The body of a chat completion → text, log-probs, use; and what it lacks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from harness.endpoint.messages import INFRASTRUCTURE, MISSING_LOGPROBS, REFUSAL, Failure


@dataclass(frozen=True)
class Parsed:
    """A well-formed body."""

    text: str | None
    refusal: str | None
    logprobs: list[dict[str, Any]] | None
    finish_reason: str | None
    model: str | None
    used: tuple[int, int] | None
    """(prompt, completion) tokens as the endpoint counts them, if it does."""


def completion(body: bytes) -> Parsed:
    """Raises ValueError saying what is wrong with the body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from None
    try:
        choice = value["choices"][0]
        message = choice["message"]
        text = message.get("content")
        if text is None and message.get("tool_calls"):
            text = message["tool_calls"][0]["function"]["arguments"]
        if text is not None and not isinstance(text, str):
            raise ValueError("the content is no text")
        return Parsed(
            text,
            _word(message.get("refusal")),
            _logprobs(choice.get("logprobs")),
            _word(choice.get("finish_reason")),
            _word(value.get("model")),
            _used(value.get("usage")),
        )
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a chat completion ({type(error).__name__}: {error})") from None


def _word(value: Any) -> str | None:
    """A short text about the answer; a server that sends anything else has said nothing."""
    return value if isinstance(value, str) else None


def _used(usage: Any) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return int(counts[0] or 0), int(counts[1] or 0)


def _logprobs(value: Any) -> list[dict[str, Any]] | None:
    content = value.get("content") if isinstance(value, dict) else None
    if not content:
        return None
    return [
        {
            "token": str(position["token"]),
            "logprob": _number(position["logprob"]),
            "top_logprobs": [
                {"token": str(top["token"]), "logprob": _number(top["logprob"])}
                for top in position.get("top_logprobs") or []
            ],
        }
        for position in content
    ]


def _number(value: Any) -> float:
    """A log-prob; servers write the smallest ones as -9999 or not at all."""
    number = float(value) if value is not None else -9999.0
    return number if math.isfinite(number) else -9999.0


def shortcoming(parsed: Parsed, *, wants_logprobs: bool) -> Failure | None:
    """The failure that a well-formed body can still be."""
    if parsed.refusal:
        return Failure(REFUSAL, f"refused: {' '.join(parsed.refusal.split())[:200]}")
    if parsed.finish_reason == "content_filter":
        return Failure(REFUSAL, "content_filter: the endpoint withheld the answer")
    if parsed.text is None:
        return Failure(INFRASTRUCTURE, "no_content: the message holds no text")
    if wants_logprobs and not _has_alternatives(parsed.logprobs):
        return Failure(MISSING_LOGPROBS, "missing_logprobs: the endpoint sent no top_logprobs")
    return None


def _has_alternatives(logprobs: list[dict[str, Any]] | None) -> bool:
    return bool(logprobs) and all(position["top_logprobs"] for position in logprobs or [])


def error_message(body: bytes) -> str:
    """The words of an error body."""
    try:
        value = json.loads(body)
        error = value.get("error", value)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        return body.decode("utf-8", "replace")
