"""Secrets in the environment: which variables hold one, what children get without them, and texts without them.

A variable holds a secret if its name says so (``…_TOKEN``, ``…_KEY``, …) or a recipe names it with ``api_key_env``.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

MASK = "***"
SHORTEST = 8
"""Characters; a shorter value is no secret, and masking it would spoil ordinary words."""

_NAMED = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_declared: set[str] = set()


def declare(name: str) -> None:
    """Remember that the environment variable ``name`` holds a secret, whatever it is called."""
    _declared.add(name)


def is_secret(name: str) -> bool:
    """Whether the environment variable ``name`` holds a secret."""
    return name in _declared or _NAMED.search(name) is not None


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a child that has no use for secrets."""
    return {name: value for name, value in environment.items() if not is_secret(name)}


def forms(value: str) -> Iterator[str]:
    """How ``value`` may stand in a text: plain, in JSON, in an address, in base64."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode()).decode().rstrip("=")


def hide(text: str, value: str) -> str:
    """``text`` with every form of ``value`` masked."""
    for form in forms(value):
        text = text.replace(form, MASK)
    return text


def mask(text: str) -> str:
    """``text`` without the secrets of this process's environment."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and is_secret(name):
            text = hide(text, value)
    return text
