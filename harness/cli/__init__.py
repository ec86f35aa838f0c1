"""The command line: ``bridgebench VERB``. Parsing and printing only; every verb's work lives in its own module.

One file per group of verbs; each hangs its verbs on the root group in `harness.cli.common` when it is imported here.

Exit codes: 0 done · 1 some cells failed · 2 wrong use or configuration · 3 environment · 4 integrity · 130 interrupted.
Results go to stdout, messages to stderr.
"""

from __future__ import annotations

import signal
import sys

import click

from harness.cli import (
    analyze,
    boards,
    claims,
    evaluating,
    installed,
    judging,
    publishing,
    running,
    scoring,
    storing,
)
from harness.cli.common import bridgebench

__all__ = [
    "analyze",
    "boards",
    "bridgebench",
    "claims",
    "evaluating",
    "installed",
    "judging",
    "main",
    "publishing",
    "running",
    "scoring",
    "storing",
]

SIGTERM_EXIT = 130


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
