"""Verbs of the science: analyze rewards, values, drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.common import bridgebench, examples, json_option, shown, shows_errors, store_of


@bridgebench.group()
def analyze() -> None:
    """Implicit rewards, values and drift of checkpoints (docs/analysis.md).

    A TARGET is a recipe, a board, or a checkpoint (path, hub:, pypi:, random:).
    """


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all three share."""
    options: list[Callable[..., Any]] = [
        click.argument("targets", nargs=-1, required=True, metavar="TARGET..."),
        click.option("--reference", metavar="REF", help="A model, a row, or start; default: the recipe's base."),
        click.option("--rows", metavar="ROW,ROW", help="Only these rows of the recipe."),
        click.option("--data", metavar="DATA", help="Held-out data; default: builtin:microtasks, dev."),
        click.option("--split", help="Split of the data."),
        click.option("--data-seed", type=int, help="Seed of the data."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many rows of the data."),
        click.option("--figures", type=click.Path(path_type=Path, file_okay=False), help="Write pictures there."),
        json_option,
        click.pass_context,
        shows_errors,
    ]
    for option in reversed(options):
        function = option(function)
    return function


beta_option = click.option(
    "--beta",
    type=click.FloatRange(min=0, min_open=True),
    help="Scale of rewards; default: the recipe's DPO beta, or 0.1.",
)


@examples("bridgebench analyze rewards quickstart", "bridgebench analyze rewards ./my-sft --reference hub:org/base")
@analyze.command()
@beta_option
@click.option("--scores", type=click.Path(), help="A reward model's scores, JSON Lines {id, chosen, rejected}.")
@click.option("--reward-model", metavar="REF", help="A reward model to score the same pairs: path, hub: or pypi:.")
@_common
def rewards(ctx: click.Context, **options: Any) -> None:
    """The checkpoints as reward models: accuracy and margin on held-out preference pairs."""
    _analyze(ctx, "rewards", **options)


@examples("bridgebench analyze values quickstart --rows sft,sft+dpo", "bridgebench analyze values quickstart --json")
@analyze.command()
@beta_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the corruptions.")
@_common
def values(ctx: click.Context, **options: Any) -> None:
    """Logits read as Q: does V separate good from corrupted continuations, do checkpoints agree on it?"""
    _analyze(ctx, "values", **options)


@examples("bridgebench analyze drift quickstart --limit 32", "bridgebench analyze drift quickstart --figures plots")
@analyze.command()
@click.option("--samples", type=click.IntRange(min=1), default=4, show_default=True, help="Samples per prompt.")
@click.option(
    "--max-new-tokens", type=click.IntRange(min=1), default=128, show_default=True, help="Length cap of a sample."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples.")
@_common
def drift(ctx: click.Context, **options: Any) -> None:
    """KL from the reference on the policy's own samples at temperature 1."""
    _analyze(ctx, "drift", **options)


def _analyze(
    ctx: click.Context, kind: str, *, rows: str | None, figures: Path | None, as_json: bool, **options: Any
) -> None:
    from harness import progress
    from harness.analysis import measure, pictures, report

    request = measure.Request(rows=tuple(rows.split(",")) if rows else (), **options)
    reporter = progress.choose(as_json=as_json, quiet=ctx.obj["quiet"])
    try:
        result = measure.run(kind, request, store_of(ctx), reporter)
    finally:
        reporter.end()
    click.echo(json.dumps(result.report, indent=2) if as_json else report.text(result.report))
    if figures is not None:
        for path in pictures.write(result, figures):
            click.echo(f"written: {shown(path.absolute())}", err=True)
    raise SystemExit(1 if result.failed else 0)
