"""Verdicts and completions of one row → its samples: what the browser of verdicts shows of each prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Line = dict[str, Any]


def gather(verdicts: Iterable[Line], own: Iterable[Line], baseline: Iterable[Line]) -> list[Line]:
    """One sample per prompt in the order of ``verdicts``, which may hold several lines per prompt (both orders).

    A sample's ``preference`` and ``score`` are the means of what its verdicts have, null where none has any;
    ``verdicts`` keeps each one's order, label, preference, score, text and error where there is more to say than that.
    """
    completions = {line["prompt_id"]: line for line in own}
    others = {line["prompt_id"]: line for line in baseline}
    by_prompt: dict[str, list[Line]] = {}
    for verdict in verdicts:
        by_prompt.setdefault(verdict["prompt_id"], []).append(verdict)
    return [_sample(lines, completions.get(prompt, {}), others.get(prompt, {})) for prompt, lines in by_prompt.items()]


def _sample(verdicts: list[Line], own: Line, other: Line) -> Line:
    first = verdicts[0]
    messages = own.get("messages") or other.get("messages") or []
    return {
        "prompt_id": first["prompt_id"],
        "part": first.get("part"),
        "family": first.get("family"),
        "prompt": _prompt(messages),
        "completion": own.get("text"),
        "baseline_completion": other.get("text"),
        "score": _mean(verdicts, "score"),
        "preference": _mean(verdicts, "preference"),
        "finish_reason": own.get("finish_reason"),
        "completion_tokens": own.get("completion_tokens"),
        "verdicts": [_verdict(verdict) for verdict in verdicts] if _worth_showing(verdicts) else [],
    }


def _prompt(messages: list[Line]) -> str:
    """The user's text; earlier turns come before it with their roles."""
    if len(messages) < 2:
        return str(messages[0]["content"]) if messages else ""
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _mean(verdicts: list[Line], key: str) -> float | None:
    values = [verdict[key] for verdict in verdicts if verdict.get(key) is not None]
    return sum(values) / len(values) if values else None


def _worth_showing(verdicts: list[Line]) -> bool:
    """A single verdict of a rule, without an order or a text, says nothing that its score does not."""
    told = ("order", "label", "raw_text", "error")
    return len(verdicts) > 1 or any(verdicts[0].get(key) is not None for key in told)


def _verdict(verdict: Line) -> Line:
    return {key: verdict.get(key) for key in ("order", "label", "preference", "score", "raw_text", "error")}
