"""The rows of a recipe that are measured and not trained on (``data.sft_eval``, ``data.preference_eval``), and a check
that they are held out indeed.
"""

from __future__ import annotations

from typing import Any

from harness import files
from harness.config import Data, DataSource
from harness.data import sources
from harness.errors import ConfigError


def of(data: Data) -> dict[sources.Format, DataSource]:
    """Format → held-out source, those that are named. Raises ConfigError if a prompt is also trained on."""
    named: list[tuple[sources.Format, DataSource | None, DataSource | None]] = [
        ("sft", data.sft_eval, data.sft),
        ("preference", data.preference_eval, data.preference),
    ]
    found: dict[sources.Format, DataSource] = {}
    for form, source, trained in named:
        if source is not None and trained is not None:
            _require_unseen(source, trained, form)
            found[form] = source
    return found


def _require_unseen(source: DataSource, trained: DataSource, form: sources.Format) -> None:
    names = {_prompt(row): row["id"] for row in sources.iterate_rows(source, form)}
    seen = {name for row in sources.iterate_rows(trained, form) if (name := names.get(_prompt(row))) is not None}
    if seen:
        raise ConfigError(
            f"data.{form}_eval is not held out: the prompts of {len(seen)} of its {len(names)} rows are also in "
            f'data.{form}, for example of row "{min(seen)}".',
            "name another split or file, or take these rows out of one of the two",
        )


def _prompt(row: dict[str, Any]) -> str:
    """A digest of what the user says, so that a large set of prompts is not held in memory."""
    turns = row.get("prompt") or row["messages"]
    return files.sha256_text("\n".join(turn["content"] for turn in turns if turn["role"] == "user"))
