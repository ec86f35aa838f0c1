"""Verbs that look into and tidy the store: show, verify, gc."""

from __future__ import annotations

import json

import click

from harness.cli.common import bridgebench, examples, json_option, shows_errors, store_of


@examples("bridgebench show 3f9a", "bridgebench show train/3f9a --json")
@bridgebench.command()
@click.argument("key")
@json_option
@click.pass_context
@shows_errors
def show(ctx: click.Context, key: str, as_json: bool) -> None:
    """One stage: settings, inputs, provenance and outcome. KEY may be shortened."""
    from harness import inspect_store

    manifest = inspect_store.manifest(store_of(ctx), key)
    click.echo(json.dumps(manifest, indent=2) if as_json else inspect_store.describe(manifest))


@examples("bridgebench verify", "bridgebench verify leaderboards/quickstart")
@bridgebench.command()
@click.argument("target", required=False)
@click.pass_context
@shows_errors
def verify(ctx: click.Context, target: str | None) -> None:
    """Recompute digests of the store, of one stage, or of a published board (and its estimates)."""
    from harness import verify as checks

    problems, checked = checks.run(store_of(ctx), target)
    for problem in problems:
        click.echo(f"{problem.path}: {problem.what}")
    fatal = sum(problem.fatal for problem in problems)
    click.echo(f"{checked} checked, {fatal} wrong, {len(problems) - fatal} not checked")
    if again := checks.damaged(problems, store_of(ctx)):
        named = " ".join(f"--remove {stage}" for stage in again)
        click.echo(f"bridgebench gc --yes {named}   and a run of the recipe make the store's copy again", err=True)
    raise SystemExit(4 if fatal else 0)


@examples("bridgebench gc", "bridgebench gc --keep quickstart --yes")
@bridgebench.command()
@click.option(
    "--keep",
    multiple=True,
    metavar="RECIPE",
    help="Keep what these recipes' plans refer to (default: all boards).",
)
@click.option("--remove", multiple=True, metavar="KEY", help="Remove these stages instead.")
@click.option("--yes", is_flag=True, help="Really remove; without it the list is only shown.")
@click.pass_context
@shows_errors
def gc(ctx: click.Context, keep: tuple[str, ...], remove: tuple[str, ...], yes: bool) -> None:
    """Remove stages that no board's plan refers to."""
    from harness import garbage

    store = store_of(ctx)
    found = garbage.named(store, remove) if remove else garbage.unreferenced(store, keep)
    freed = 0
    for kind, key, size in found:
        click.echo(f"{kind}/{key}  {size / 2**20:.1f} MiB" + ("" if yes else "  (would be removed)"))
        if yes:
            freed += garbage.remove(store, kind, key)
    click.echo(
        f"{len(found)} stages, {freed / 2**20:.1f} MiB freed" if yes else f"{len(found)} stages; --yes removes them"
    )
