"""The verb about the paper's claims: claims."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.common import bridgebench, examples, json_option, shown, shows_errors, store_of


@examples("bridgebench claims claims-smollm2", "bridgebench claims leaderboards/claims-smollm2 --json")
@bridgebench.command()
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write there; default: the board.")
@click.option(
    "--values",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A report of `analyze values RUN --json` for claim (c), in place of the finished analysis.",
)
@json_option
@click.pass_context
@shows_errors
def claims(ctx: click.Context, run: str, out: Path | None, values: Path | None, as_json: bool) -> None:
    """Verdicts on the claims that the recipe of RUN (a recipe or a board) names."""
    from harness.claims import render, writing

    made, place = writing.run(run, store_of(ctx), out, values)
    click.echo(json.dumps(made, indent=2) if as_json else render.table(made))
    click.echo(f"written: {shown((place / 'claims.html').absolute())}", err=True)
