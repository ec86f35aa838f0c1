"""``leaderboard diff``: what changed between two versions of a board, and whether a change is more than noise.

A figure that moved is tested on the prompts that both versions judged, each against itself: paired, so that what the
two versions share cancels out. Several rows are several tests, so p-values are Holm's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness import verify
from harness.board_evidence import Board, Line
from harness.boards import recompute
from harness.errors import BridgebenchError

FIGURES = ("pass_rate", "win_rate", "lc_win_rate", "mean_score", "n", "n_missing", "rank")


@dataclass(frozen=True)
class Change:
    """A row that both versions have, and whose figures differ."""

    row: str
    figures: dict[str, tuple[Any, Any]]
    """Figure → (old, new)."""
    test: dict[str, Any] | None = None
    """``metric, n, difference`` (new - old, points) with its interval, ``p``, ``p_holm``, ``significant``."""
    why_untested: str = ""


@dataclass(frozen=True)
class Difference:
    """Everything that differs."""

    old: str
    new: str
    added: list[str]
    removed: list[str]
    changed: list[Change] = field(default_factory=list)
    described: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        changes = [
            {"row": each.row, "figures": each.figures, "test": each.test, "why_untested": each.why_untested}
            for each in self.changed
        ]
        said = {"old": self.old, "new": self.new, "added": self.added, "removed": self.removed}
        return {**said, "changed": changes, "described": self.described}

    def text(self) -> str:
        """For people."""
        lines = [f"- {name}: only in {self.old}" for name in self.removed]
        lines += [f"+ {name}: only in {self.new}" for name in self.added]
        lines += [f"~ {key}: {before} → {after}" for key, (before, after) in self.described.items()]
        for change in self.changed:
            moved = "; ".join(f"{key} {_shown(a)} → {_shown(b)}" for key, (a, b) in change.figures.items())
            lines.append(f"~ {change.row}: {moved}{_verdict(change)}")
        return "\n".join(lines) or "no difference"


def difference(old: Board, new: Board) -> Difference:
    """Compare two boards row by row, on the primary benchmark."""
    shared = [name for name in old.rows if name in new.rows]
    figures = {name: _moved(old.rows[name], new.rows[name]) for name in shared}
    moved = {name: found for name, found in figures.items() if found}
    described = {
        key: (old.data.get(key), new.data.get(key))
        for key in ("title", "benchmark", "judge", "baseline", "base")
        if old.data.get(key) != new.data.get(key)
    }
    return Difference(
        str(old.directory),
        str(new.directory),
        added=[name for name in new.rows if name not in old.rows],
        removed=[name for name in old.rows if name not in new.rows],
        changed=_tested(old, new, moved),
        described=described,
    )


def _moved(before: Line, after: Line) -> dict[str, tuple[Any, Any]]:
    keys = ("failed", *FIGURES)
    return {key: (before.get(key), after.get(key)) for key in keys if not verify.same(before.get(key), after.get(key))}


def _tested(old: Board, new: Board, moved: dict[str, dict[str, tuple[Any, Any]]]) -> list[Change]:
    from harness.stats import paired

    tests: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    for name in moved:
        try:
            tests[name] = _test(old, new, name)
        except BridgebenchError as error:
            reasons[name] = error.message
    adjusted = paired.holm(np.array([test["p"] for test in tests.values()], dtype=np.float64))
    for test, p_holm in zip(tests.values(), adjusted, strict=True):
        test |= {"p_holm": float(p_holm), "significant": bool(p_holm < paired.ALPHA)}
    return [Change(name, found, tests.get(name), reasons.get(name, "")) for name, found in moved.items()]


def _test(old: Board, new: Board, row: str) -> dict[str, Any]:
    """New against old on shared prompts. Raises BridgebenchError where the two did not judge the same prompts."""
    before, after = old.verdicts(row), new.verdicts(row)
    shared = {line["prompt_id"] for line in before} & {line["prompt_id"] for line in after}
    digests = [recompute.answered(board, row)[0] for board in (old, new)]
    if not shared or digests[0] != digests[1]:
        raise BridgebenchError("the two versions asked other prompts")
    metric = (new.data.get("comparison") or {}).get("metric")
    kept = {
        name: [line for line in lines if line["prompt_id"] in shared]
        for name, lines in (("new", after), ("old", before))
    }
    found = recompute.comparison(kept, seed=0, metric=metric)
    pair = found["pairs"][0]
    names = ("n", "difference", "difference_low", "difference_high", "p")
    return {"metric": found["metric"], **{key: pair[key] for key in names}}


def _shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _verdict(change: Change) -> str:
    if change.test is None:
        return f" (not tested: {change.why_untested})" if change.why_untested else ""
    test = change.test
    word = "significant" if test["significant"] else "not significant"
    return (
        f" ({word}: {test['metric']} {test['difference']:+.1f} points on {test['n']} shared prompts, "
        f"p = {test['p_holm']:.3g})"
    )
