"""A chat template, rendered in Jinja's sandbox: enough to know before anything runs that it can render the prompts.

What models read is rendered by the trainers with the tokenizer itself; this only tells whether that will work.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.errors import ConfigError

Messages = list[dict[str, str]]


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
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        text = environment.from_string(template).render(
            messages=messages, add_generation_prompt=prompt, tools=None, documents=None, **special
        )
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"the chat template is not valid, line {error.lineno}: {error.message}.", HINT) from None
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).strip() or type(error).__name__
        raise ConfigError(f"the chat template does not render {_shape(messages)}: {reason}", HINT) from None
    for number, message in enumerate(messages):
        if message["content"].strip() not in text:
            raise ConfigError(f"the chat template leaves out turn {number + 1} of {_shape(messages)}.", HINT)
    return text


HINT = "--chat-template FILE (chat_template: in a recipe) gives another"


def _shape(messages: Messages) -> str:
    return "a chat of " + ", ".join(message["role"] for message in messages)


def _refuse(reason: str) -> NoReturn:
    raise jinja2.TemplateError(reason)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)
