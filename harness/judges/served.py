"""A judge that is served here: its questions as rows to render, and its scores as answers."""

from __future__ import annotations

from typing import Any

from harness import files, specs
from harness.judges import items, reward
from harness.judges.pairs import LABELS, Pairwise
from harness.judges.question import Item, Line, Question
from harness.judges.settings import RewardModelJudge
from harness.stage import Stage
from harness.store import Store


def rows(judge: Any, asked_of: dict[str, Any], store: Store, inputs: dict[str, Stage]) -> list[Line]:
    """What the judge model reads: ``{id, messages, continuations}`` (labels), or ``{id, messages, complete}`` (texts
    that a reward model scores as they are).
    """
    found = items.read(store, inputs)
    if isinstance(judge, RewardModelJudge):
        return reward.rows(found)
    protocol = Pairwise(judge, asked_of)
    return [
        {"id": question.id, "messages": question.messages, "continuations": list(LABELS)}
        for item in found
        if item.failed is None
        for question in protocol.questions(item)
    ]


def answers(store: Store, stage: Stage) -> dict[str, Line]:
    """Question id → answer line, from a scores stage."""
    path = specs.directory(store, stage) / "scores.jsonl"
    return {line["id"]: line for line in files.iterate_jsonl(path)}


def answer(question: Question, line: Line) -> Line:
    """A score as an answer: the labels' own log-probs, nothing sampled."""
    logprobs = dict(zip(LABELS, line["logprobs"], strict=True))
    return {
        "raw_text": None,
        "logprobs": None,
        "label_logprobs": logprobs,
        "prompt_tokens": line["prompt_tokens"],
        "prompt_sha256": question.prompt_sha256,
        "answered_by": question.asked_of["model"],
        "failure": None,
    }


def pairs(protocol: Pairwise, found: list[Item], scored: dict[str, Line]) -> list[tuple[Item, Question, Line | None]]:
    """Every question with its answer; None where there was nothing to judge."""
    return [
        (item, question, answer(question, scored[question.id]) if question.id in scored else None)
        for item in found
        for question in protocol.questions(item)
    ]
