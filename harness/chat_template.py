"""A chat template, rendered in Jinja's sandbox: enough to know before anything runs that it can render the prompts.

What models read is rendered by the trainers with the tokenizer itself; this only tells whether that will work.
"""

from __future__ import annotations

import json
from datetime import datetime
from math import prod
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.errors import ConfigError

Messages = list[dict[str, str]]


LARGEST = 1_000_000


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's, which also refuses sums that would fill the memory (``9**9**9``, ``'x' * 10**9``)."""

    intercepted_binops = frozenset({"**", "*"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As Python does it, for operands and results of a reasonable size."""
        if operator == "**" and not (abs(left) <= LARGEST and abs(right) <= 64):
            raise OverflowError("a power is too large")
        sized = [len(each) if hasattr(each, "__len__") else abs(each) for each in (left, right)]
        if operator == "*" and any(hasattr(each, "__len__") for each in (left, right)) and prod(sized) > LARGEST:
            raise OverflowError("a repeated text is too long")
        return super().call_binop(context, operator, left, right)


class Generation(Extension):
    """``{% generation %}`` marks what the assistant said, for training masks; it renders as its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own form

    def parse(self, parser: Any) -> Any:
        """The body alone."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def render(template: str, messages: Messages, special: dict[str, str], *, prompt: bool = True) -> str:
    """The text of ``messages``; ``special`` are the tokenizer's ``bos_token`` and the like.

    Raises ConfigError for a template that is not valid, refuses the messages, or leaves a turn out.
    """
    environment = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        text = environment.from_string(template).render(
            messages=messages, add_generation_prompt=prompt, tools=None, documents=None, **special
        )
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"the chat template is not valid, line {error.lineno}: {error.message}.", HINT) from None
    except FAULTS as error:
        reason = str(error).strip() or type(error).__name__
        raise ConfigError(f"the chat template does not render {_shape(messages)}: {reason}", HINT) from None
    for number, message in enumerate(messages):
        if message["content"].strip() not in text:
            raise ConfigError(f"the chat template leaves out turn {number + 1} of {_shape(messages)}.", HINT)
    return text


# a template fails in Jinja's words, in those of what it calls, or because Python cannot compile or hold what it says
FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
HINT = "--chat-template FILE (chat_template: in a recipe) gives another"


def _shape(messages: Messages) -> str:
    return "a chat of " + ", ".join(message["role"] for message in messages)


def _refuse(reason: str) -> NoReturn:
    raise jinja2.TemplateError(reason)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
