"""Verbs about judges: judge calibrate, judge dry-run."""

from __future__ import annotations

import json

import click

from harness.cli.common import bridgebench, examples, json_option, plan_of, set_option, shows_errors, store_of


@bridgebench.group()
def judge() -> None:
    """What judges cost, and how far they can be trusted."""


@examples("bridgebench judge dry-run my.yaml", "bridgebench judge dry-run my.yaml --json")
@judge.command("dry-run")
@click.argument("recipe")
@set_option
@json_option
@click.pass_context
@shows_errors
def dry_run(ctx: click.Context, recipe: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """What the judges of RECIPE would be asked and cost; nothing is sent."""
    from harness import judge_cost

    costs = judge_cost.estimate(plan_of(ctx, recipe, assignments), store_of(ctx))
    if as_json:
        click.echo(json.dumps([cost.as_row() for cost in costs], indent=2))
        return
    click.echo(judge_cost.table(costs))


@examples("bridgebench judge calibrate my.yaml", "bridgebench judge calibrate my.yaml --pairs 40 --json")
@judge.command("calibrate")
@click.argument("recipe")
@click.option("--benchmark", help="Take the judge of this benchmark (default: the first).")
@click.option("--pairs", default=160, show_default=True, type=click.IntRange(min=10), help="Pairs to judge.")
@set_option
@json_option
@click.pass_context
@shows_errors
def calibrate(
    ctx: click.Context, recipe: str, benchmark: str | None, pairs: int, assignments: tuple[str, ...], as_json: bool
) -> None:
    """Accuracy, order bias and length bias of RECIPE's judge, where the truth is known; boards then show them."""
    from harness import calibration, progress, recipe_file

    store = store_of(ctx)
    store.prepare()
    loaded = recipe_file.load(recipe, assignments, store.root / recipe_file.SAVED)
    reporter = progress.choose(as_json=as_json, quiet=ctx.obj["quiet"])
    try:
        measured = calibration.calibrate(loaded, benchmark, store, reporter, count=pairs)
    finally:
        reporter.end()
    click.echo(json.dumps(measured, indent=2) if as_json else calibration.text(measured))
