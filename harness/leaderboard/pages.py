"""The static site: templates filled, autoescaped, one file per page that asks nothing from outside.

Every page carries its own style and scripts and a policy that admits nothing else: a script by its digest, what that
script loads itself (``strict-dynamic``), and no text of ours or a model's as HTML (``require-trusted-types-for``).
"""

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
from harness.leaderboard import cells, display, fields, row_view, view
from harness.leaderboard.corpus import Corpus
from harness.leaderboard.fields import Board, Row

SCRIPTS = {
    "index": ("common.js", "table.js"),
    "row": ("common.js",),
    "claims": ("common.js",),
    "browse": ("common.js", "reader.js", "view.js", "browse.js"),
    "compare": ("common.js", "reader.js", "view.js", "compare.js"),
}


def write(
    board: Board,
    rows: list[Row],
    corpus: Corpus,
    stages: dict[str, list[Row]],
    directory: Path,
    analyses: dict[str, Row],
) -> None:
    """Write ``index.html``, ``rows/<row>.html`` for every row with results, ``browse.html`` and ``compare.html``."""
    environment = _environment()
    shared = {"board": cells.described(board), "has_texts": bool(corpus.prompts)}
    page = _template(environment, "index").render(view.index(board, rows, analyses), root="", **shared)
    files.write_text(directory / "index.html", page)
    _write_rows(environment, board, rows, corpus, stages, analyses, shared, directory / "rows")
    if corpus.prompts:
        for name in ("browse", "compare"):
            text = _template(environment, name).render(root="", two=len(corpus.rows) > 1, **shared)
            files.write_text(directory / f"{name}.html", text)


def _write_rows(
    environment: Environment,
    board: Board,
    rows: list[Row],
    corpus: Corpus,
    stages: dict[str, list[Row]],
    analyses: dict[str, Row],
    shared: dict[str, Any],
    directory: Path,
) -> None:
    template = _template(environment, "row")
    metrics = fields.shown_metrics(rows)
    for row in rows:
        if row["failed"]:
            continue
        content = row_view.row_page(board, rows, row, metrics, stages.get(row["row"], []), analyses)
        text = template.render(content, root="../", has_samples=row["row"] in corpus.cells, **shared)
        files.write_text(directory / f"{display.file_stem(row['row'])}.html", text)


def render(name: str, board: Board, *, has_texts: bool, **values: Any) -> str:
    """One more page of a board, beside its index; ``has_texts`` says whether the board has pages of completions."""
    template = _template(_environment(), name)
    return template.render(root="", board=cells.described(board), has_texts=has_texts, **values)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(recipe_text=_recipe_text)
    return environment


def _template(environment: Environment, name: str) -> Any:
    """A page's template with its style, scripts and policy; only our own files are marked safe."""
    style, scripts = _asset("style.css"), [_asset(script) for script in SCRIPTS[name]]
    own = {"style": Markup(style), "scripts": [Markup(script) for script in scripts], "policy": policy(style, scripts)}
    return environment.get_template(f"{name}.html.j2", globals=own)


@cache
def _asset(name: str) -> str:
    return (resources.files("harness.leaderboard") / "templates" / name).read_text("utf-8")


def policy(style: str, scripts: list[str]) -> str:
    """Nothing but this very style sheet and these scripts may run or load, whatever a completion contains."""
    admitted = " ".join(f"'{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src {admitted} 'strict-dynamic'; "
        "require-trusted-types-for 'script'; trusted-types bridgebench; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _recipe_text(recipe: Any) -> str:
    import yaml

    if not recipe:
        return ""
    return recipe if isinstance(recipe, str) else yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
