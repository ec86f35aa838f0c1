"""A driver that asks a judge at an endpoint until it is killed: ``python tests/asking_scenario.py URL OUT``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.judged_items import NAMES, items, pairwise, settings

if __name__ == "__main__":
    from harness.judges.asking import ask

    url, out = sys.argv[1], Path(sys.argv[2])
    ask(
        pairwise(url),
        items(150),
        settings(url, concurrency=4),
        out=out,
        ledger=out.parent.parent / "spent.jsonl",
        names=NAMES,
        max_missing=0.0,
        on_event=lambda event: None,
    )
