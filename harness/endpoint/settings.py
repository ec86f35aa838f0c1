"""What a recipe says about an endpoint: where it is, what it costs, and how hard it may be pressed."""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from harness import masking
from harness.errors import ConfigError
from harness.strict import Count, NotNegative, Positive, Strict


class Price(Strict):
    """Money per million tokens."""

    prompt: NotNegative
    completion: NotNegative
    currency: str = "USD"

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class BudgetCap(Strict):
    """What one recipe may spend on an endpoint, all its runs together."""

    tokens: Count | None = None
    money: Positive | None = None


class EndpointSettings(Strict):
    """An OpenAI-compatible endpoint: ``{base_url: "https://api.example.org/v1", model: name, api_key_env: KEY}``."""

    base_url: str
    model: str
    revision: str | None = None
    """Tells apart what a server calls by one name: part of the identity."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the key; the key itself never stands in a recipe."""
    allow_http: bool = False
    """Permit an unencrypted address that is not this machine."""
    concurrency: Count = 8
    timeout_seconds: Positive = 120.0
    """For one attempt, from sending to the last byte."""
    max_attempts: Count = 6
    backoff_seconds: Positive = 1.0
    longest_wait_seconds: Positive = 120.0
    """A Retry-After beyond this is not waited for; the request fails by name."""
    price: Price | None = None
    budget: BudgetCap = BudgetCap()

    @model_validator(mode="after")
    def _reachable_and_payable(self) -> EndpointSettings:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url is an http(s) address, e.g. https://api.example.org/v1")
        if parts.username or parts.password:
            raise ValueError("base_url holds a password; name an environment variable with api_key_env instead")
        if parts.query or parts.fragment:
            raise ValueError("base_url takes no ?query, which would be written to boards; a key goes into api_key_env")
        if parts.scheme == "http" and not is_loopback(parts.hostname) and not self.allow_http:
            raise ValueError(f"http to {parts.hostname} would send texts and key unencrypted: use https, or allow_http")
        if self.budget.money is not None and self.price is None:
            raise ValueError("budget.money needs price: {prompt: …, completion: …} per million tokens")
        if self.api_key_env is not None:
            masking.declare(self.api_key_env)
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """What makes its answers its own: the address (of this machine without the port), model and revision."""
        parts = urlsplit(self.base_url)
        assert parts.hostname is not None
        host = "loopback" if is_loopback(parts.hostname) else parts.netloc
        return {"address": f"{host}{parts.path.rstrip('/')}", "model": self.model, "revision": self.revision}

    def secret(self) -> Secret | None:
        """The key from the environment. Raises ConfigError where the variable is not set."""
        if self.api_key_env is None:
            return None
        value = os.environ.get(self.api_key_env, "").strip()
        if not value:
            raise ConfigError(
                f"the environment variable {self.api_key_env} holds no key for {self.base_url}.",
                f"export {self.api_key_env}=…   and run again",
            )
        return Secret(value)


SHORTEST_IN_ANSWERS = 12
"""Characters of a key that is masked in answers; a shorter one ("EMPTY") may be a word that the model said."""


class Secret:
    """A key that does not print: in a repr, a log or an error it is ``***``."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the request's header alone."""
        return self._value

    def mask(self, text: str) -> str:
        """``text`` without the key, should a server have echoed it."""
        return masking.hide(text, self._value)

    def mask_answer(self, body: bytes) -> bytes:
        """The body of an answer without the key, which would otherwise be stored and published with it."""
        if len(self._value) < SHORTEST_IN_ANSWERS:
            return body
        for form in masking.forms(self._value):
            body = body.replace(form.encode(), masking.MASK.encode())
        return body

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written anywhere")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
