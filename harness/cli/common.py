"""What every verb shares: the root group, options, and how errors are shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.errors import BridgebenchError, did_you_mean


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


def store_of(ctx: click.Context) -> Any:
    """The store that ``--results`` names."""
    return ctx.obj["store"]


def plan_of(ctx: click.Context, recipe: str, assignments: tuple[str, ...], device: str | None = None) -> Any:
    """The plan of ``recipe`` with ``--set`` applied, for this machine's kind of device or another."""
    from harness import recipe_file
    from harness.plan import make_plan

    store = store_of(ctx)
    store.prepare()
    loaded = recipe_file.load(recipe, assignments, store.root / recipe_file.SAVED)
    return make_plan(loaded, store.root / "downloads", device)


def reporter_of(ctx: click.Context, as_json: bool) -> Any:
    """What shows progress: JSON events, a live display, or nothing with ``--quiet``."""
    from harness import progress

    return progress.choose(as_json=as_json, quiet=ctx.obj["quiet"])


def shown(path: Path) -> str:
    """``path`` as short as it can be written here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


set_option = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a recipe's key.")
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
