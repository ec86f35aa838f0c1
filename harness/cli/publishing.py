"""Verbs that show a board to the world: publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.common import bridgebench, examples, shows_errors, store_of


@examples(
    "bridgebench publish quickstart --to leaderboards/quickstart --workflow",
    "bridgebench publish quickstart --to hub:spaces/org/name --yes",
    "bridgebench publish quickstart --row sft+dpo --to hub:models/org/name",
    "bridgebench publish quickstart --to latex --out table.tex",
    "bridgebench publish quickstart --to alpaca_eval --out submission",
)
@bridgebench.command()
@click.argument("board")
@click.option(
    "--to",
    required=True,
    metavar="WHERE",
    help="A directory, hub:{datasets,spaces,models}/org/name, csv, md, json, latex or alpaca_eval.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The file of a table, or the folder of alpaca_eval.")
@click.option("--row", metavar="ROW", help="One row: its checkpoint with a model card (or its AlpacaEval outputs).")
@click.option("--workflow", is_flag=True, help="Beside a directory: a workflow that puts it on GitHub Pages.")
@click.option("--private", is_flag=True, help="A repository that is made on a hub is private.")
@click.option("--yes", is_flag=True, help="Really upload; without it, it is only told what would be.")
@click.pass_context
@shows_errors
def publish(ctx: click.Context, **asked: Any) -> None:
    """Show a finished BOARD, with the evidence a stranger needs to check it, or a checkpoint with its card."""
    from harness.publishing import order

    click.echo(order.run(order.Order(**asked), store_of(ctx)))
