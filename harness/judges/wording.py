"""The words in which a judge is asked: our own, shipped here, or a protocol's official file that a recipe names.

The official judge prompts of Arena-Hard and MT-Bench are not shipped. Verdicts asked for in our own words are marked so
(``wording: own`` in the judge's identity), since they are not comparable with published ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from harness import yaml_text
from harness.errors import ConfigError

OWN = "own"
MT_BENCH_TEMPLATES = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")


@dataclass(frozen=True)
class Template:
    """A system text and a user text with placeholders; ``source`` is ``own`` or the name of the official file."""

    system: str
    user: str
    source: str


def _own(name: str) -> str:
    return (resources.files("harness") / "judges" / "prompts" / name).read_text("utf-8")


def pairwise(form: str) -> Template:
    """Our judge of pairs: ``verdict`` (reasons, then a verdict between marks) or ``labels`` (one letter)."""
    system, _, user = _own(f"pairwise_{form}.txt").partition("\n---\n")
    return Template(system.strip(), user.strip(), OWN)


def arena_hard(path: Path | None) -> Template:
    """Ours, or a YAML file with ``system_prompt`` and ``prompt_template``. Raises ConfigError for another shape."""
    if path is None:
        system, _, user = _own("arena_hard.txt").partition("\n---\n")
        return Template(system.strip(), user.strip(), OWN)
    values = _yaml(path)
    asked, shown = values.get("system_prompt"), values.get("prompt_template")
    if isinstance(shown, list) and len(shown) == 1:
        shown = shown[0]
    if not isinstance(asked, str) or not isinstance(shown, str):
        raise ConfigError(f"{path} has no system_prompt and prompt_template.", "name Arena-Hard's judge configuration")
    names = ("{question_1}", "{answer_1}", "{answer_2}"), ("{QUESTION}", "{ANSWER_A}", "{ANSWER_B}")
    if not any(all(name in shown for name in group) for group in names):
        raise ConfigError(f"{path}: prompt_template lacks {', '.join(names[0])}.")
    return Template(asked, shown, path.name)


def mt_bench(path: Path | None) -> dict[str, Template]:
    """Ours, or FastChat's ``judge_prompts.jsonl``. Raises ConfigError naming what the file lacks."""
    text = _own("mt_bench.jsonl") if path is None else _text(path)
    source = OWN if path is None else path.name
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            found[entry["name"]] = Template(entry["system_prompt"], entry["prompt_template"], source)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}: not a judge prompt ({error}).") from None
    if lacking := [name for name in MT_BENCH_TEMPLATES if name not in found]:
        raise ConfigError(f"{path} lacks the judge prompts {', '.join(lacking)}.")
    return {name: found[name] for name in MT_BENCH_TEMPLATES}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the judge prompts {path} cannot be read ({error}).") from None


def _yaml(path: Path) -> dict[str, Any]:
    values, _ = yaml_text.parse(_text(path), str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.")
    return values
