"""One question to an endpoint and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

INFRASTRUCTURE = "infrastructure"
UNPARSED = "unparsed"
REFUSAL = "refusal"
MISSING_LOGPROBS = "missing_logprobs"

TOKENS_PER_MESSAGE = 8  # role and separators, by any template seen so far
TOKENS_PER_REQUEST = 64  # a template's own system text, where it adds one


@dataclass(frozen=True)
class ChatRequest:
    """A conversation to continue. ``extra`` goes into the request's body as it is (tools, logit_bias, …)."""

    messages: list[dict[str, Any]]
    max_tokens: int
    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None
    top_logprobs: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    prompt_bound: int | None = None
    """At most so many prompt tokens, if the caller knows better than one token a byte."""

    def body(self, model: str) -> dict[str, Any]:
        """The JSON body for ``/chat/completions``."""
        optional: dict[str, Any] = {"top_p": self.top_p, "seed": self.seed}
        if self.top_logprobs is not None:
            optional |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return {
            **self.extra,
            "model": model,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def most_prompt_tokens(self) -> int:
        """An upper bound: a byte-level tokenizer makes at most one token of a byte."""
        if self.prompt_bound is not None:
            return self.prompt_bound
        texts = [str(message.get("content") or "") for message in self.messages]
        extra = len(str(self.extra)) if self.extra else 0
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        return size + extra + TOKENS_PER_MESSAGE * len(texts) + TOKENS_PER_REQUEST


@dataclass(frozen=True)
class Failure:
    """Why there is no answer. ``kind`` is infrastructure, refusal, missing_logprobs or (for a judge) unparsed;
    ``detail`` begins with a word that names the fault: ``timeout``, ``http_500``, ``malformed_json``, ….
    """

    kind: str
    detail: str

    @property
    def fault(self) -> str:
        """``infrastructure/timeout``."""
        return f"{self.kind}/{self.detail.partition(':')[0]}"


@dataclass(frozen=True)
class Usage:
    """Tokens and money of one request, all attempts together.

    ``unconfirmed_tokens`` are those of attempts whose use the endpoint never told (cut, timed out, failed): the worst
    case, since a cut request counts as spent. ``money`` includes them and is None without a price.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    unconfirmed_tokens: int = 0
    money: float | None = None

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens + self.unconfirmed_tokens

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        known = [value for value in (self.money, other.money) if value is not None]
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.unconfirmed_tokens + other.unconfirmed_tokens,
            sum(known) if known else None,
        )


@dataclass(frozen=True)
class Answer:
    """What an endpoint said, or why it did not (``failure``); with a refusal both may be there."""

    text: str | None
    logprobs: list[dict[str, Any]] | None
    """Per position ``{token, logprob, top_logprobs: [{token, logprob}, …]}``, natural log."""
    finish_reason: str | None
    model: str | None
    """What the endpoint says answered."""
    usage: Usage
    attempts: int
    failure: Failure | None = None

    @classmethod
    def failed(cls, kind: str, detail: str, usage: Usage, attempts: int) -> Answer:
        """No text came."""
        return cls(None, None, None, None, usage, attempts, Failure(kind, detail))
