"""Items under judgment for tests of judges, without a model."""

from __future__ import annotations

from typing import Any

from harness.endpoint import EndpointSettings
from harness.judges.pairs import Pairwise
from harness.judges.question import Item
from harness.judges.settings import PairwiseJudge

NAMES = {"model": "m", "baseline": "base", "judge_key": "0" * 16}


def completion(prompt: str, text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    plain = {"finish_reason": "stop", "completion_tokens": 3, "error": None}
    return {"prompt_id": prompt, "messages": messages, "text": text, **plain, **more}


def item(prompt: str, own: str = "mine", other: str | None = "theirs", **more: Any) -> Item:
    row = {"id": prompt, "part": "all", "family": "all", **more}
    return Item(row, [completion(prompt, own)], None if other is None else completion(prompt, other))


def items(count: int) -> list[Item]:
    return [item(f"prompt {number}", f"answer {number}", f"other answer {number}") for number in range(count)]


def settings(url: str, **more: Any) -> EndpointSettings:
    quick = {"backoff_seconds": 0.005, "timeout_seconds": 10.0, "max_attempts": 3, "concurrency": 16}
    return EndpointSettings.model_validate({"base_url": url, "model": "judge", **quick, **more})


def pairwise(url: str, **more: Any) -> Pairwise:
    return Pairwise(PairwiseJudge(protocol="pairwise", endpoint=settings(url), **{"max_tokens": 20, **more}))
