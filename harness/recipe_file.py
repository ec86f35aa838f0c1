"""Reading recipes: find the file, parse the YAML, apply ``--set``, and report every mistake at once with its line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import yaml_text
from harness.config import Recipe
from harness.errors import ConfigError, did_you_mean
from harness.judges.settings import PROTOCOLS
from harness.yaml_text import Lines

MOST_EXTENDED = 20
"""Recipes that may stand behind each other; a chain that is longer goes round in a circle."""
SAVED = "recipes"
"""The folder of the store where ``eval`` keeps the recipes it makes."""


def shipped() -> dict[str, Path]:
    """Name → file of the recipes inside the package."""
    folder = Path(str(resources.files("harness") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def locate(name: str, saved: Path | None = None) -> Path:
    """The file of a recipe: a path, one that ``eval`` saved in the folder ``saved``, or a shipped one.

    Raises ConfigError with the closest name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise ConfigError(f"there is no recipe file {name}.")
    recipes = shipped() | ({path.stem: path for path in sorted(saved.glob("*.yaml"))} if saved else {})
    if name not in recipes:
        raise ConfigError(
            f'there is no recipe "{name}".{did_you_mean(name, recipes)}',
            "bridgebench recipes list   shows the shipped ones; a path to a YAML file works too.",
        )
    return recipes[name]


def load(name: str, assignments: tuple[str, ...] = (), saved: Path | None = None) -> Recipe:
    """The recipe ``name`` with ``--set key=value`` assignments applied. Raises ConfigError listing all mistakes.

    A file may say ``extends: NAME`` to start from another recipe, whose groups of settings it adds to, and
    ``set: [key=value, …]``.
    """
    path = locate(name, saved)
    values, lines = _parse(path)
    return validated(values, path, assignments, lines)


def validated(
    values: dict[str, Any], path: Path, assignments: tuple[str, ...] = (), lines: Lines | None = None
) -> Recipe:
    """The recipe that ``values``, the content of ``path``, stand for. Raises ConfigError listing all mistakes."""
    values, lines = _extended(dict(values), lines or {})
    for assignment in (*_own_assignments(values, path), *assignments):
        _assign(values, assignment)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, values, lines), f"mend {path.name} and run again") from None


def _own_assignments(values: dict[str, Any], path: Path) -> list[str]:
    found = values.pop("set", None) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigError(f"{path.name}: set is a list of key=value.", "for example set: [training.epochs=2]")
    return found


def _extended(values: dict[str, Any], lines: Lines, depth: int = 0) -> tuple[dict[str, Any], Lines]:
    name = values.pop("extends", None)
    if name is None:
        return values, lines
    path = locate(str(name))
    if depth >= MOST_EXTENDED:
        raise ConfigError(
            f"{path.name} extends {MOST_EXTENDED} recipes, one behind the other: it comes back to itself."
        )
    below, their_lines = _extended(*_parse(path), depth + 1)
    return _over(below, values), their_lines | lines


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``below`` with what ``above`` says; groups of settings are merged, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _over(below[key], value) if both else value
    return merged


def parse(path: Path) -> dict[str, Any]:
    """What a recipe file says, nothing applied. Raises ConfigError for what is not YAML."""
    return _parse(path)[0]


def _parse(path: Path) -> tuple[dict[str, Any], Lines]:
    values, lines = yaml_text.parse(yaml_text.read(path), path.name)
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} holds no settings.", "bridgebench recipes show quickstart   is an example")
    return values, lines


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Apply ``a.b.c=value``; the value is YAML, so numbers and lists work."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f'--set takes key=value, not "{assignment}".', "for example --set training.epochs=2")
    *parents, last = key.strip().split(".")
    place = values
    for parent in parents:
        inner = place.get(parent)
        if inner is None:
            inner = place[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f'--set {key}: "{parent}" is a value, not a group of settings.')
        place = inner
    place[last], _ = yaml_text.parse(text, f"--set {key}: {text!r}")


def _explain(error: ValidationError, path: Path, values: dict[str, Any], lines: Lines) -> str:
    mistakes = [_explain_one(item, lines) for item in error.errors()]
    return f"{path.name} has {len(mistakes)} mistake{'s' * (len(mistakes) > 1)}:\n" + "\n".join(
        f"  {line}" for line in dict.fromkeys(mistakes)
    )


def _explain_one(item: Any, lines: Lines) -> str:
    location = _written(tuple(str(part) for part in item["loc"] if str(part) != "[key]"))
    known_line = next((lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), None)
    where = f"line {known_line}: " if known_line else ""
    dotted = ".".join(location) or "recipe"
    if item["type"] == "extra_forbidden":
        return f'{where}unknown key "{dotted}".{did_you_mean(location[-1], _keys_beside(item["loc"]))}'
    if item["type"] == "missing":
        return f'{where}"{dotted}" is missing.'
    if item["type"] == "union_tag_invalid":
        given = str(item["ctx"]["tag"])
        known = ", ".join(PROTOCOLS)
        return f'{where}{dotted}: there is no protocol "{given}".{did_you_mean(given, PROTOCOLS)} There are {known}.'
    message = item["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(item.get("input"), dict) else f" (it is {item.get('input')!r})"
    return f"{where}{dotted}: {message}{shown}"


def _written(location: tuple[str, ...]) -> tuple[str, ...]:
    """The location as the recipe writes it, without the protocol that pydantic names after ``judge``."""
    return tuple(
        part
        for number, part in enumerate(location)
        if not (number and location[number - 1] == "judge" and part in PROTOCOLS)
    )


def _keys_beside(location: tuple[Any, ...]) -> list[str]:
    """The keys that would have been valid where ``location``'s last part stands."""
    model: Any = Recipe
    parts = [str(part) for part in location]
    for number, part in enumerate(parts[:-1]):
        if number and parts[number - 1] == "judge" and part in PROTOCOLS:
            model = PROTOCOLS[part]
        elif part in getattr(model, "model_fields", {}):
            model = _inner_model(model.model_fields[part].annotation)
        # a name inside a mapping (variants.sft): the mapping's value type is already reached
    return list(getattr(model, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    """The settings class inside an annotation such as ``dict[Name, Variant]`` or ``DataSource | None``."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    for argument in reversed(getattr(annotation, "__args__", ())):
        if (found := _inner_model(argument)) is not None:
            return found
    return None
