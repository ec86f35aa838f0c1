"""Verbs that plan and run a recipe: run, plan, status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

import click

from harness.cli.common import (
    bridgebench,
    examples,
    json_option,
    plan_of,
    reporter_of,
    set_option,
    shown,
    shows_errors,
    store_of,
)

if TYPE_CHECKING:
    from harness.running import Done


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
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--address", metavar="HOST:PORT", help="The Ray cluster. [default: RAY_ADDRESS, else one started here]")
@click.option(
    "--remote-store",
    metavar="URL",
    envvar="BRIDGEBENCH_REMOTE_STORE",
    help="Copy finished stages there (file://, s3://, gs://), and take from there what is missing here.",
)
@json_option
@click.pass_context
@shows_errors
def run(
    ctx: click.Context,
    recipe: str,
    assignments: tuple[str, ...],
    keep_going: bool,
    executor: str,
    address: str | None,
    remote_store: str | None,
    as_json: bool,
) -> None:
    """Plan RECIPE and execute what is missing."""
    from harness import running
    from harness.executors import opened

    store, reporter = store_of(ctx), reporter_of(ctx, as_json)
    with opened.executor(executor, address, remote_store, store, reporter, keep_going=keep_going) as (chosen, device):
        done = running.run(plan_of(ctx, recipe, assignments, device), store, reporter, executor=chosen)
    report(done, as_json=as_json)


def report(done: Done, *, as_json: bool) -> NoReturn:
    """Failures to stderr, the board to stdout, and the exit code."""
    for paragraph in done.paragraphs():
        click.echo(f"\n{paragraph}", err=True)
    if as_json:
        click.echo(json.dumps(done.as_json()))
    elif done.board is not None:
        click.echo(f"board: {shown(done.board / 'index.html')}")
        click.echo(done.outcome.summary())
    raise SystemExit(done.exit_code)


@examples("bridgebench plan quickstart", "bridgebench plan paper-mistral-7b --cost --gpu h100 --gpu-price 2.5")
@bridgebench.command()
@click.argument("recipe")
@set_option
@click.option("--cost", is_flag=True, help="Estimate tokens, GPU-hours, memory and judge money; loads nothing.")
@click.option("--gpu", default="h100", show_default=True, metavar="NAME", help="The GPU of the estimate.")
@click.option("--mfu", type=click.FloatRange(0.01, 1), help="Share of its peak that training reaches. [default: 0.4]")
@click.option("--gpu-price", type=click.FloatRange(min=0), help="What you pay for a GPU-hour.")
@json_option
@click.pass_context
@shows_errors
def plan(
    ctx: click.Context,
    recipe: str,
    assignments: tuple[str, ...],
    cost: bool,
    gpu: str,
    mfu: float | None,
    gpu_price: float | None,
    as_json: bool,
) -> None:
    """Show what a run of RECIPE would do, and why; with --cost, what it would take."""
    from harness import explain

    if cost:
        click.echo(_cost(recipe, assignments, gpu, mfu, gpu_price, as_json))
        return
    made = plan_of(ctx, recipe, assignments)
    found = explain.states(made, store_of(ctx))
    click.echo(json.dumps(explain.as_rows(found), indent=2) if as_json else explain.screen(made, found))


def _cost(
    recipe: str, assignments: tuple[str, ...], gpu: str, mfu: float | None, price: float | None, as_json: bool
) -> str:
    from harness import recipe_file
    from harness.cost import estimate, gpus, render

    loaded = recipe_file.load(recipe, assignments)
    found = estimate.make(loaded, gpus.find(gpu), mfu=mfu or estimate.DEFAULT_MFU, price=price)
    return json.dumps(found, indent=2) if as_json else render.screen(found)


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
