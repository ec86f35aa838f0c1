"""Markdown by a model → a tree of plain lists that the page builds elements from: no HTML text ever exists.

A node is a text, or ``[tag, child, …]`` with one of a few tags; a link is ``["a", address, child, …]`` and an ordered
list ``["ol", first number, child, …]``. Raw HTML stays text (CommonMark without HTML, tables added), an image is shown
as its source text, a link leads to http or https or is shown as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

Node = Any  # str | list[Node]

_TAGS = {
    "paragraph": "p",
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "list_item": "li",
    "em": "em",
    "strong": "strong",
    "s": "s",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
}
_ADDRESS = re.compile(r"https?://[^\s]+\Z", re.IGNORECASE)
# without one of these a text is plain paragraphs, which need no parser
_MARKUP = re.compile(r"[*_`#\[\]<>|~\\&=]|^ {0,3}(?:[-+]|\d+[.)])| {2,}\n|^(?: {4}|\t)", re.MULTILINE)


def tree(text: str) -> list[Node]:
    """The nodes of a text; as one paragraph of plain text where it cannot be parsed."""
    if not _MARKUP.search(text):
        return _plain(text)
    try:
        return _blocks(_parser().parse(text))
    except RecursionError:
        return [["p", text]]


def is_plain(nodes: Sequence[Node]) -> bool:
    """Whether the text has no markup at all: showing it as it is loses nothing."""
    return all(node[0] == "p" and all(isinstance(child, str) for child in node[1:]) for node in nodes)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _plain(text: str) -> list[Node]:
    return [["p", part.strip("\n")] for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def _blocks(tokens: Sequence[Token]) -> list[Node]:
    """Nested lists from the flat run of opening and closing tokens."""
    stack: list[list[Node]] = [[""]]  # the root has an empty tag, so that every list begins with one
    for token in tokens:
        if token.nesting == 1:
            stack.append(_opened(token))
        elif token.nesting == -1:
            done = stack.pop()
            _append(stack[-1], token, done)
        elif token.type == "inline":
            stack[-1].extend(_blocks(token.children or []))
        else:
            _add_leaf(stack[-1], token)
    return stack[0][1:]


def _opened(token: Token) -> list[Node]:
    if token.type == "link_open":
        return ["a", str(token.attrs.get("href", ""))]
    if token.type == "ordered_list_open":
        return ["ol", int(token.attrs.get("start", 1))]
    if token.type == "heading_open":
        return [token.tag]
    return [_TAGS[token.type.removesuffix("_open")]]


def _append(parent: list[Node], token: Token, done: list[Node]) -> None:
    """A finished element into its parent; a tight list's paragraphs and unsafe links vanish, their content stays."""
    if done[0] == "a" and not _ADDRESS.match(done[1]):
        parent.extend(done[2:])
    elif token.hidden:
        parent.extend(done[1:])
    else:
        parent.append(done)


def _add_leaf(parent: list[Node], token: Token) -> None:
    if token.type in ("fence", "code_block"):
        parent.append(["pre", token.content])
    elif token.type == "code_inline":
        parent.append(["code", token.content])
    elif token.type == "hardbreak":
        parent.append(["br"])
    elif token.type == "hr":
        parent.append(["hr"])
    else:
        _add_text(parent, _text(token))


def _text(token: Token) -> str:
    if token.type == "softbreak":
        return "\n"
    if token.type == "image":
        return f"![{token.content}]({token.attrs.get('src', '')})"
    return token.content


def _add_text(parent: list[Node], text: str) -> None:
    """Neighbouring texts become one; a node's tag and its attribute are no text."""
    if not text:
        return
    first = 2 if parent[0] in ("a", "ol") else 1
    if len(parent) > first and isinstance(parent[-1], str):
        parent[-1] += text
    else:
        parent.append(text)
