"""Fault trials: ``python -m tests.faults [--seed 0] [--trials 30] [--only NAME] [--result FILE]``.

``--trials`` kills, dealt over all victims, and every other fault once. The exit code is not 0 if anything was lost,
done twice or left behind, or if fewer than 80 % of the kills hit a running stage. Shows each trial as it ends.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import provenance
from tests.faults import baseline, recipe, trial
from tests.faults.deck import Card, deal
from tests.faults.judge_server import JudgeServer
from tests.faults.trial import Record

HITS = 0.8  # of the kills must hit a running stage


def main() -> int:
    """Play all trials and write the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=30, help="kills; every other fault comes once on top")
    parser.add_argument("--only", help="trials whose fault has this in its name")
    parser.add_argument("--result", type=Path, help="write the log here")
    arguments = parser.parse_args()
    cards = [card for card in deal(arguments.seed, arguments.trials) if (arguments.only or "") in card.fault.name]
    records = play_all(cards, lambda played: keep(played, arguments.seed, arguments.result))
    print(summary(records))
    return 0 if good(records) else 1


def play_all(cards: list[Card], after_each: Callable[[list[Record]], None] = lambda played: None) -> list[Record]:
    """Every trial after one undisturbed run, told as it ends."""
    records: list[Record] = []
    judge = JudgeServer()
    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            written = recipe.write(Path(folder), judge.start())
            undisturbed = baseline.make(Path(folder) / "undisturbed", written)
            for number, card in enumerate(cards, 1):
                records.append(trial.play(card, written, undisturbed, judge))
                tell(number, len(cards), records[-1])
                after_each(records)
    finally:
        judge.stop()
    return records


def keep(records: list[Record], seed: int, path: Path | None) -> None:
    """Write the log of the trials so far."""
    if path is not None:
        path.write_text(json.dumps(log(records, seed), indent=2) + "\n")


def tell(number: int, total: int, record: Record) -> None:
    """One line, and one more for each thing that went wrong."""
    what = f"skipped: {record.skipped}" if record.skipped else f"ran {', '.join(record.log['running']) or 'nothing'}"
    print(f"[{number}/{total}] {record.fault} ({record.seconds} s): {what}", file=sys.stderr, flush=True)
    for kind in ("wrong", "lost", "duplicated", "leaked"):
        for sentence in getattr(record, kind):
            print(f"    {kind}: {sentence}", file=sys.stderr, flush=True)


def hit_share(records: list[Record]) -> float | None:
    """Share of the kills that hit a running stage; None without a kill."""
    hits = [record.log["hit"] for record in records if "hit" in record.log]
    return sum(hits) / len(hits) if hits else None


def good(records: list[Record]) -> bool:
    """Whether everything is as it must be."""
    share = hit_share(records)
    return all(record.fine for record in records) and (share is None or share >= HITS)


def summary(records: list[Record]) -> str:
    """The line at the end."""
    played = [record for record in records if record.skipped is None]
    lost, duplicated, leaked = (sum(len(getattr(r, kind)) for r in played) for kind in ("lost", "duplicated", "leaked"))
    line = f"{len(played)} trials, {lost} lost, {duplicated} duplicated, {leaked} leaked processes"
    wrong, skipped = sum(len(record.wrong) for record in played), len(records) - len(played)
    line += f", {wrong} otherwise wrong" if wrong else ""
    line += f", {skipped} not possible here" if skipped else ""
    share = hit_share(played)
    return line if share is None else f"{line}; {share:.0%} of the kills hit a running stage"


def log(records: list[Record], seed: int) -> dict[str, Any]:
    """What is kept of all trials."""
    return {
        "seed": seed,
        "summary": summary(records),
        "hit_share": hit_share(records),
        "commit": provenance.commit()[0],
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "trials": [record.as_json() for record in records],
    }


if __name__ == "__main__":
    sys.exit(main())
