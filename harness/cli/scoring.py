"""Verbs that start from stored verdicts: score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.cli.common import bridgebench, examples, json_option, shows_errors


@examples(
    "bridgebench score --benchmark alpaca_eval --verdicts annotations.json --json",
    "bridgebench score --benchmark mt_bench --verdicts gpt-4_single.jsonl",
)
@bridgebench.command()
@click.option("--benchmark", required=True, metavar="NAME", help="alpaca_eval, arena_hard[_v2], mt_bench or your own.")
@click.option(
    "--verdicts",
    "verdict_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    required=True,
    help="Stored verdicts or judgments; several times for several files.",
)
@click.argument(
    "more_files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--length-control",
    type=click.Choice(["official", "corrected"]),
    help="How AlpacaEval's fit joins difficulties: by row position, as published, or by instruction (default).",
)
@click.option("--gamed", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="df_gamed.csv of its fit.")
@click.option(
    "--difficulty",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Instruction difficulties, where df_gamed.csv does not have them.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Answers of models and baseline, for Arena-Hard's style control; several times for several files.",
)
@click.option("--baseline", metavar="NAME", help="Take the verdicts against this model.")
@click.option("--max-missing", type=float, default=0.01, show_default=True, help="A row with a larger share fails.")
@click.option(
    "--duplicates",
    type=click.Choice(["error", "first", "last"]),
    default="error",
    show_default=True,
    help="Which of two verdicts on one item to take.",
)
@json_option
@shows_errors
def score(
    benchmark: str, verdict_files: tuple[Path, ...], more_files: tuple[Path, ...], as_json: bool, **settings: Any
) -> None:
    """From stored verdicts to estimates, without any model."""
    from harness import score as scoring
    from harness.score import report

    request = scoring.Request(benchmark, [*verdict_files, *more_files], **settings)
    rows = scoring.score(request)
    click.echo(json.dumps({"rows": rows}, indent=2) if as_json else report.text(rows, request.benchmark))
    raise SystemExit(1 if any(row["failed"] for row in rows) else 0)
