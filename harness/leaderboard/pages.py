"""The static site: templates filled, autoescaped, one file per page that asks nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness import files
from harness.leaderboard import display, fields, row_view, view
from harness.leaderboard.fields import Board, Row


def write(board: Board, rows: list[Row], samples: dict[str, list[Row]], directory: Path) -> None:
    """Write ``index.html`` and ``rows/<row>.html`` for every row with results."""
    environment = _environment()
    page = environment.get_template("index.html.j2").render(view.index(board, rows), root="")
    files.write_text(directory / "index.html", page)
    template = environment.get_template("row.html.j2")
    for row in rows:
        if row["failed"]:
            continue
        shown = [_sample(sample) for sample in samples.get(row["row"], [])]
        text = template.render(row_view.row_page(board, rows, row), samples=shown, filters=_filters(shown), root="../")
        files.write_text(directory / "rows" / f"{display.file_stem(row['row'])}.html", text)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = _asset("style.css"), _asset("script.js")
    environment.globals.update(
        style=Markup(style),  # our own files: nothing from a model or a recipe is marked safe
        script=Markup(script),
        policy=_policy(style, script),
        recipe_text=_recipe_text,
    )
    return environment


@cache
def _asset(name: str) -> str:
    return (resources.files("harness.leaderboard") / "templates" / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing but this very style sheet and script may run or load, whatever a completion contains."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _recipe_text(recipe: Any) -> str:
    import yaml

    if not recipe:
        return ""
    return recipe if isinstance(recipe, str) else yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def _sample(sample: Row) -> dict[str, Any]:
    texts = {key: display.model_text(sample.get(key)) for key in ("prompt", "completion", "baseline_completion")}
    preference, score = sample.get("preference"), sample.get("score")
    return {
        "id": str(sample["prompt_id"]),
        "part": str(sample.get("part") or ""),
        "family": str(sample.get("family") or ""),
        "texts": texts,
        "outcome": _outcome(preference),
        "score": "no score" if score is None else f"score {score:.2f}".rstrip("0").rstrip("."),
        "passed": score == 1,
        "same": texts["completion"] == texts["baseline_completion"],
        "finish": str(sample.get("finish_reason") or ""),
        "tokens": sample.get("completion_tokens"),
    }


def _outcome(preference: float | None) -> str:
    if preference is None:
        return "missing"
    if preference == 0.5:
        return "tie"
    return "win" if preference > 0.5 else "loss"


def _filters(samples: list[dict[str, Any]]) -> dict[str, list[tuple[str, int]]]:
    """Values to filter samples by, with how many each keeps; in the parts' usual order."""
    parts = [
        part for part in [*fields.PARTS, *sorted({sample["part"] for sample in samples} - set(fields.PARTS))] if part
    ]
    return {
        "part": _counted(samples, "part", parts),
        "outcome": _counted(samples, "outcome", ["win", "tie", "loss", "missing"]),
    }


def _counted(samples: list[dict[str, Any]], key: str, values: list[str]) -> list[tuple[str, int]]:
    counts = [(value, sum(sample[key] == value for sample in samples)) for value in values]
    return [(value, count) for value, count in counts if count]
