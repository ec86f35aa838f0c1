"""Verbs that show a board to the world: publish."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.common import bridgebench, examples, plan_of, shown, shows_errors, store_of


@examples("bridgebench publish quickstart --to leaderboards/quickstart")
@bridgebench.command()
@click.argument("recipe")
@click.option("--to", "destination", type=click.Path(path_type=Path), required=True, help="A directory.")
@click.pass_context
@shows_errors
def publish(ctx: click.Context, recipe: str, destination: Path) -> None:
    """Copy a finished board, with the evidence a stranger needs to check it, to a directory."""
    from harness import publish as publishing

    count = publishing.to_directory(plan_of(ctx, recipe, ()), store_of(ctx), destination)
    click.echo(f"{count} files in {shown(destination)}")
