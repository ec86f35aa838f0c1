"""Verbs about boards that are there: leaderboard build, check and diff, compare, reproduce."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.common import bridgebench, examples, json_option, shown, shows_errors, store_of


@bridgebench.group()
def leaderboard() -> None:
    """Boards from results only; no model runs."""


@examples(
    "bridgebench leaderboard build quickstart",
    "bridgebench leaderboard build ours-and-theirs.yaml --to leaderboards/ours-and-theirs",
    "bridgebench leaderboard build leaderboards/quickstart",
)
@leaderboard.command()
@click.argument("board")
@click.option("--to", "destination", type=click.Path(path_type=Path), help="A directory, with a copy of the evidence.")
@click.pass_context
@shows_errors
def build(ctx: click.Context, board: str, destination: Path | None) -> None:
    """Build BOARD anew: a board file (YAML), a recipe's board, or a published one from its evidence."""
    from harness.boards import rebuild

    click.echo(f"board: {shown(rebuild.build(board, store_of(ctx), destination) / 'index.html')}")


@examples("bridgebench leaderboard check leaderboards/quickstart")
@leaderboard.command()
@click.argument("board")
@click.pass_context
@shows_errors
def check(ctx: click.Context, board: str) -> None:
    """Compute BOARD anew from its evidence; exit code 4 if it no longer follows."""
    from harness import board_evidence as evidence
    from harness.boards import check as checking

    problems, checked = checking.run(evidence.board(board, store_of(ctx)))
    for problem in problems:
        if problem.fatal:
            click.echo(f"{problem.path}: {problem.what}")
    fatal = sum(problem.fatal for problem in problems)
    click.echo(f"{checked} checked, {fatal} wrong, {len(problems) - fatal} absent or older")
    raise SystemExit(4 if fatal else 0)


@examples("bridgebench leaderboard diff old/quickstart leaderboards/quickstart --json")
@leaderboard.command()
@click.argument("old")
@click.argument("new")
@json_option
@click.pass_context
@shows_errors
def diff(ctx: click.Context, old: str, new: str, as_json: bool) -> None:
    """What changed from board OLD to board NEW, and whether it is significant."""
    from harness import board_evidence as evidence
    from harness.boards import board_diff

    found = board_diff.difference(*(evidence.board(name, store_of(ctx)) for name in (old, new)))
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.text())


@examples("bridgebench compare quickstart/sft quickstart/sft+dpo", "bridgebench compare mine/a mine/b --json")
@bridgebench.command()
@click.argument("a")
@click.argument("b")
@click.option("--benchmark", help="Default: the board's primary one.")
@json_option
@click.pass_context
@shows_errors
def compare(ctx: click.Context, a: str, b: str, benchmark: str | None, as_json: bool) -> None:
    """Rows A and B (BOARD/ROW) prompt by prompt."""
    from harness import board_evidence as evidence
    from harness.boards import head_to_head

    found = head_to_head.compare(evidence.row(a, store_of(ctx)), evidence.row(b, store_of(ctx)), benchmark)
    click.echo(json.dumps(found, indent=2) if as_json else head_to_head.text(found))


@examples("bridgebench reproduce quickstart/sft+dpo")
@bridgebench.command()
@click.argument("row")
@click.pass_context
@shows_errors
def reproduce(ctx: click.Context, row: str) -> None:
    """The exact commands behind ROW (BOARD/ROW), and the stage keys they should give."""
    from harness import board_evidence as evidence
    from harness.boards import reproduce as reproducing

    click.echo(reproducing.commands(*evidence.row(row, store_of(ctx))))
