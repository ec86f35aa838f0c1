"""YAML that people wrote, read as data: nothing in it runs, no key stands twice, no alias unfolds without end.

Recipes, board files and ``--set`` values come through here; `harness.recipe_file` and `harness.boards.board_file`
check what they say.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import yaml

from harness.errors import ConfigError

Place = tuple[str, ...]
Lines = dict[Place, int]
"""Where in the file each key stands: dotted place → line, counted from 1."""

MOST_NODES = 200_000
MOST_DEPTH = 60
# what constructors of SafeLoader raise beside YAMLError: int("x"), a month 13, an unhashable key
MALFORMED = (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)


class Refused(ValueError):
    """Well-formed YAML that is not taken."""


def read(path: Path) -> str:
    """The text of a file. Raises ConfigError where it is not UTF-8."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not a text in UTF-8 ({error}).") from None


def parse(text: str, name: str) -> tuple[Any, Lines]:
    """What the YAML ``text`` says, and where. Raises ConfigError, in which ``name`` names the source."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _Walk().lines(node) if node is not None else {}
        return yaml.safe_load(text), lines
    except Refused as error:
        raise ConfigError(f"{name}: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{name} is nested too deep to be read.") from None
    except MALFORMED as error:
        raise ConfigError(f"{name} is not valid YAML: {error}") from None


class _Walk:
    """Visits every node as often as aliases repeat it, up to `MOST_NODES`, before anything is built from it."""

    def __init__(self) -> None:
        self.visited = 0
        self.found: Lines = {}

    def lines(self, root: yaml.Node) -> Lines:
        self._visit(root, ())
        return self.found

    def _visit(self, node: yaml.Node, place: Place) -> None:
        line = node.start_mark.line + 1
        self.visited += 1
        if self.visited > MOST_NODES:
            raise Refused(f"it unfolds to more than {MOST_NODES} values")
        if len(place) > MOST_DEPTH:
            raise Refused(f"line {line}: it is nested more than {MOST_DEPTH} levels deep, or holds itself")
        self.found.setdefault(place, line)
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._visit(value, (*place, str(index)))
        else:
            _require_text(node.value, line)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Refused(f"line {line}: a key is one word, not a list or a group")
            _require_text(key.value, line)
            if key.value in seen:
                raise Refused(f'line {line}: the key "{key.value}" stands twice')
            seen.add(key.value)
            self.found[(*place, key.value)] = line
            self._visit(value, (*place, key.value))


def _require_text(value: str, line: int) -> None:
    """No character that a terminal would obey, or that no file can hold, gets into a name, a log or a board."""
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise Refused(f"line {line}: a text holds the control character U+{ord(character):04X}")
