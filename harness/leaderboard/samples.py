"""Verdicts and completions of one row → its samples: what the browser of verdicts shows of each prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Line = dict[str, Any]


def gather(
    verdicts: list[Line], own: Iterable[Line], baseline: Iterable[Line], benchmark: str | None = None
) -> list[Line]:
    """One sample per prompt in the order of ``verdicts``, which may hold several lines per prompt (both orders).

    A sample's ``preference`` and ``score`` are the ones that the estimates use (`harness.aggregate.orders`: of both
    orders the mean, missing unless both answered); ``verdicts`` keeps each line's order, label, preference, score, text
    and error where there is more to say than that. Raises IntegrityError for two verdicts in one order.
    """
    from harness.aggregate import orders

    completions = {line["prompt_id"]: line for line in own}
    others = {line["prompt_id"]: line for line in baseline}
    lines: dict[str, list[Line]] = {}
    for verdict in verdicts:
        lines.setdefault(str(verdict["prompt_id"]), []).append(verdict)
    merged = {str(verdict["prompt_id"]): verdict for verdict in orders.merge("the row", verdicts)}
    return [
        {"benchmark": benchmark, **_sample(merged[prompt], found)}
        | _texts(completions.get(found[0]["prompt_id"], {}), others.get(found[0]["prompt_id"], {}))
        for prompt, found in lines.items()
    ]


def _sample(merged: Line, verdicts: list[Line]) -> Line:
    keys = ("prompt_id", "part", "family", "baseline", "score", "preference")
    shown = [_verdict(verdict) for verdict in verdicts] if _worth_showing(verdicts) else []
    return {**{key: merged.get(key) for key in keys}, "verdicts": shown}


def _texts(own: Line, other: Line) -> Line:
    return {
        "prompt": _prompt(own.get("messages") or other.get("messages") or []),
        "completion": own.get("text"),
        "baseline_completion": other.get("text"),
        "finish_reason": own.get("finish_reason"),
        "completion_tokens": own.get("completion_tokens"),
    }


def _prompt(messages: list[Line]) -> str:
    """The user's text; earlier turns come before it with their roles."""
    if len(messages) < 2:
        return str(messages[0]["content"]) if messages else ""
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _worth_showing(verdicts: list[Line]) -> bool:
    """A single verdict of a rule, without an order or a text, says nothing that its score does not."""
    told = ("order", "label", "raw_text", "error")
    return len(verdicts) > 1 or any(verdicts[0].get(key) is not None for key in told)


def _verdict(verdict: Line) -> Line:
    return {key: verdict.get(key) for key in ("order", "label", "preference", "score", "raw_text", "error")}
