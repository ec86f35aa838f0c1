"""Verbs that plan and run a recipe: run, plan, status."""

from __future__ import annotations

import json

import click

from harness.cli.common import bridgebench, examples, json_option, plan_of, set_option, shown, shows_errors, store_of


@examples("bridgebench run quickstart", "bridgebench run my.yaml --set training.epochs=2")
@bridgebench.command()
@click.argument("recipe")
@set_option
@click.option(
    "--keep-going/--fail-fast",
    default=True,
    help="Go on with other cells after a failure.",
    show_default=True,
)
@json_option
@click.pass_context
@shows_errors
def run(ctx: click.Context, recipe: str, assignments: tuple[str, ...], keep_going: bool, as_json: bool) -> None:
    """Plan RECIPE and execute what is missing."""
    from harness import board, progress
    from harness.executors.local import LocalExecutor

    plan = plan_of(ctx, recipe, assignments)
    reporter = progress.choose(as_json=as_json, quiet=ctx.obj["quiet"])
    executor = LocalExecutor(store_of(ctx), reporter, keep_going=keep_going)
    try:
        outcome = executor.run(plan)
    finally:
        reporter.end()
    destination = board.build(plan, store_of(ctx), outcome)
    for name, why in outcome.failed.items():
        click.echo(f"\nerror: {outcome.labels[name]} ({name}) failed: {why}", err=True)
    if outcome.failed:
        click.echo(f"\nbridgebench run {recipe}   runs the failed stages again", err=True)
    if as_json:
        click.echo(json.dumps({"board": str(destination), "executed": len(outcome.executed), "failed": outcome.failed}))
    else:
        click.echo(f"board: {shown(destination / 'index.html')}")
        click.echo(outcome.summary())
    raise SystemExit(1 if outcome.failed else 0)


@examples("bridgebench plan quickstart", "bridgebench plan quickstart --set seeds=[0,1,2]")
@bridgebench.command()
@click.argument("recipe")
@set_option
@json_option
@click.pass_context
@shows_errors
def plan(ctx: click.Context, recipe: str, assignments: tuple[str, ...], as_json: bool) -> None:
    """Show what a run of RECIPE would do, and why."""
    from harness import explain

    made = plan_of(ctx, recipe, assignments)
    found = explain.states(made, store_of(ctx))
    click.echo(json.dumps(explain.as_rows(found), indent=2) if as_json else explain.screen(made, found))


@examples("bridgebench status", "bridgebench status quickstart --json")
@bridgebench.command()
@click.argument("recipe", required=False)
@json_option
@click.pass_context
@shows_errors
def status(ctx: click.Context, recipe: str | None, as_json: bool) -> None:
    """The state of every stage, of RECIPE or of the whole store."""
    from harness import explain, inspect_store

    if recipe:
        rows = explain.as_rows(explain.states(plan_of(ctx, recipe, ()), store_of(ctx)))
    else:
        rows = inspect_store.overview(store_of(ctx))
    click.echo(json.dumps(rows, indent=2) if as_json else inspect_store.table(rows))
