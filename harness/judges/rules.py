"""The rules judge: exact verifiers score each completion, and the higher score wins against the baseline's.

A completion that the engine failed to produce has no verdict; it is counted as missing, never as a zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness import files
from harness.data import microtasks
from harness.errors import ConfigError

Completion = dict[str, Any]


def judge(
    prompts: list[dict[str, Any]],
    completions: list[Completion],
    baseline: list[Completion],
    *,
    model: str,
    baseline_name: str,
    judge_key: str,
) -> Iterator[dict[str, Any]]:
    """One verdict per prompt, in the prompts' order; scores and preferences in [0, 1].

    Raises ConfigError for a prompt without a ``check`` or without a completion on either side.
    """
    own = {row["prompt_id"]: row for row in completions}
    other = {row["prompt_id"]: row for row in baseline}
    for prompt in prompts:
        identity = prompt["id"]
        if "check" not in prompt:
            raise ConfigError(
                f'prompt "{identity}" has no check, so the rules judge cannot score it.',
                "the rules judge is for builtin:microtasks and files whose rows carry a check",
            )
        if identity not in own or identity not in other:
            raise ConfigError(f'prompt "{identity}" has no completion of {model} or {baseline_name}.')
        yield _verdict(prompt, own[identity], other[identity], model, baseline_name, judge_key)


def _verdict(
    prompt: dict[str, Any], own: Completion, other: Completion, model: str, baseline: str, judge_key: str
) -> dict[str, Any]:
    score, base_score = _score(prompt, own), _score(prompt, other)
    failed = next((row["error"] for row in (own, other) if row["error"]), None)
    return {
        "id": files.sha256_text(f"{judge_key}\n{prompt['id']}\n{own['text']}\n{other['text']}")[:16],
        "prompt_id": prompt["id"],
        "judge_key": judge_key,
        "order": None,
        "model": model,
        "baseline": baseline,
        "preference": None if score is None or base_score is None else preference(score, base_score),
        "score": score,
        "label": None,
        "raw_text": None,
        "logprobs": None,
        "finish_reason": own["finish_reason"],
        "tokens": 0,
        "cost": 0.0,
        "error": failed,
        "part": prompt["part"],
        "family": prompt["family"],
        "length_model": None if own["error"] else len(own["text"]),
        "length_baseline": None if other["error"] else len(other["text"]),
        "completion_tokens": own["completion_tokens"],
        "truncated": own["finish_reason"] == "length" if own["finish_reason"] and not own["error"] else None,
        "empty": None if own["error"] else not own["text"].strip(),
    }


def _score(prompt: dict[str, Any], completion: Completion) -> float | None:
    return None if completion["error"] else microtasks.score(prompt["check"], completion["text"])


def preference(score: float, baseline_score: float) -> float:
    """1 if the model's score is higher, 0 if the baseline's is, one half for a tie."""
    if score == baseline_score:
        return 0.5
    return 1.0 if score > baseline_score else 0.0
