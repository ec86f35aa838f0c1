"""One question to a judge: what it is shown, how it is asked, and the id under which its answer is kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from harness import files
from harness.endpoint import ChatRequest

Completion = dict[str, Any]
Line = dict[str, Any]

_TRACE = re.compile(r"^\s*<think>.*?</think>\s*", re.DOTALL)
_OPEN_TRACE = re.compile(r"^\s*<think>")


@dataclass(frozen=True)
class Item:
    """One prompt with what is judged: the model's completions (one a turn) and the baseline's, if it has one."""

    prompt: Line
    own: list[Completion]
    other: Completion | None

    @property
    def prompt_id(self) -> str:
        """The prompt's id."""
        return str(self.prompt["id"])

    @property
    def failed(self) -> str | None:
        """Why an answer under judgment does not exist; there is nothing to judge then."""
        completions = [*self.own, *([self.other] if self.other is not None else [])]
        return next((str(line["error"]) for line in completions if line.get("error")), None)

    @property
    def answer(self) -> str:
        """The model's answer to the first turn."""
        return judged_text(self.own[0]["text"])

    @property
    def baseline(self) -> str:
        """The baseline's answer. Raises ValueError for a protocol that has none."""
        if self.other is None:
            raise ValueError(f'prompt "{self.prompt_id}" has no baseline')
        return judged_text(self.other["text"])


@dataclass(frozen=True)
class Question:
    """What a judge is asked. ``asked_of`` is the judge model's identity; ``given`` is a preference without asking."""

    prompt_id: str
    order: str | None
    messages: list[dict[str, Any]]
    sampling: dict[str, Any]
    asked_of: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)
    turn: int | None = None
    given: float | None = None

    @cached_property
    def id(self) -> str:
        """16 hex digits over all that can change the answer: the messages (template, both outputs, order), the sampling
        parameters and the judge model; and over the prompt and turn, so that no two questions share one.
        """
        named = [self.prompt_id, self.turn, self.order, self.messages, self.sampling, self.asked_of]
        return files.sha256_text(files.canonical_json(named))[:16]

    @property
    def prompt_sha256(self) -> str:
        """Digest of what the judge reads."""
        return files.sha256_text(files.canonical_json(self.messages))

    def request(self) -> ChatRequest:
        """For an endpoint."""
        return ChatRequest(self.messages, **self.sampling)


@dataclass(frozen=True)
class Reading:
    """What a judge's answer says. ``preference`` is for the model, in [0, 1]; a ``failure`` has a kind and no number.

    ``strict`` is whether our strict rule reads the same out of it; None where there is only one rule.
    """

    preference: float | None = None
    label: str | None = None
    rating: float | None = None
    weight: int | None = None
    strict: bool | None = None
    label_mass: float | None = None
    failure: str | None = None
    detail: str | None = None


class JudgeProtocol(Protocol):
    """A judge's rules: which questions a pair of outputs raises, and how an answer is read."""

    def identity(self) -> dict[str, Any]:
        """Template text digests, sampling, parser, judge model: what enters the stage's key."""

    def questions(self, item: Item) -> list[Question]:
        """The questions about one prompt, in canonical order."""

    def read(self, question: Question, answer: Line) -> Reading:
        """The verdict in an answer that came without failure."""


def judged_text(text: str) -> str:
    """``text`` without the reasoning trace that it begins with; the raw text stays in the completions.

    A trace that was cut off before its end leaves nothing: the model never came to its answer. Where the chat template
    itself opened the trace, everything up to the closing mark is trace.
    """
    if _OPEN_TRACE.match(text):
        return _TRACE.sub("", text, count=1) if _TRACE.match(text) else ""
    head, mark, rest = text.partition("</think>")
    return rest.lstrip() if mark and "<think>" not in head else text


def filled(template: str, values: dict[str, str]) -> str:
    """``template`` with every ``{name}`` of ``values`` replaced in one pass, so that no value can fill another."""
    names = "|".join(re.escape(name) for name in values)
    return re.sub(r"\{(" + names + r")\}", lambda match: values[match[1]], template)
