"""``compare A B``: two rows, prompt by prompt, on the prompts that both answered."""

from __future__ import annotations

from typing import Any

from harness.board_evidence import Board, Line
from harness.boards import recompute
from harness.errors import BridgebenchError

Side = tuple[Board, str]
MOST_SHOWN = 10
METRICS = ("pass_rate", "mean_score", "win_rate")


def compare(first: Side, second: Side, benchmark: str | None = None) -> dict[str, Any]:
    """Every metric's paired difference (first - second, points) and the outcomes on each shared prompt.

    Raises BridgebenchError where the rows answered other prompts; a win rate is only compared where both were judged
    against the same completions.
    """
    names = _names(first, second)
    told = [recompute.answered(board, row, benchmark) for board, row in (first, second)]
    if told[0][0] != told[1][0]:
        raise BridgebenchError(f"{names[0]} and {names[1]} answered other prompts, so there is nothing to pair.")
    verdicts = {name: board.verdicts(row, benchmark) for name, (board, row) in zip(names, (first, second), strict=True)}
    same_baseline = told[0][1] == told[1][1]
    tests = [_test(verdicts, metric) for metric in METRICS if metric != "win_rate" or same_baseline]
    return {
        "a": names[0],
        "b": names[1],
        "same_baseline": same_baseline,
        "tests": [test for test in tests if test["n"]],
        "prompts": _prompts(verdicts, names, same_baseline),
    }


def _names(first: Side, second: Side) -> tuple[str, str]:
    if first[1] != second[1]:
        return first[1], second[1]
    return f"{first[0].name}/{first[1]}", f"{second[0].directory}/{second[1]}"


def _test(verdicts: dict[str, list[Line]], metric: str) -> dict[str, Any]:
    pair = recompute.comparison(verdicts, seed=0, metric=metric)["pairs"][0]
    names = ("n", "difference", "difference_low", "difference_high", "p")
    return {"metric": metric, **{key: pair[key] for key in names}}


def _prompts(verdicts: dict[str, list[Line]], names: tuple[str, str], preferences: bool) -> list[dict[str, Any]]:
    """One line per shared prompt: scores and preferences of both, of both orders as the estimates take them."""
    from harness.aggregate import orders

    sides = [{str(line["prompt_id"]): line for line in orders.merge(name, verdicts[name])} for name in names]
    keys = ("score", "preference") if preferences else ("score",)
    labelled = list(zip("ab", sides, strict=True))
    return [
        {"prompt_id": prompt} | {f"{key}_{label}": side[prompt].get(key) for label, side in labelled for key in keys}
        for prompt in sides[0]
        if prompt in sides[1]
    ]


def text(found: dict[str, Any]) -> str:
    """For people: the tests, the tally, and the prompts that differ most."""
    lines = [f"{found['a']} against {found['b']}, paired by prompt"]
    for test in found["tests"]:
        interval = f"[{test['difference_low']:.1f}, {test['difference_high']:.1f}]"
        moved = f"  {test['metric']:<10} {test['difference']:+6.1f} points {interval:>16}"
        lines.append(f"{moved}  n = {test['n']}  p = {test['p']:.3g}")
    if not found["same_baseline"]:
        lines.append("  the win rates are against different baselines, so they are not compared")
    gaps = [(_gap(prompt), prompt["prompt_id"]) for prompt in found["prompts"]]
    known = [(gap, name) for gap, name in gaps if gap is not None]
    better, worse = sum(gap > 0 for gap, _ in known), sum(gap < 0 for gap, _ in known)
    lines.append(f"  better on {better} prompts, worse on {worse}, alike on {len(known) - better - worse}")
    largest = sorted((each for each in known if each[0]), key=lambda each: (-abs(each[0]), each[1]))[:MOST_SHOWN]
    lines += [f"    {gap:+.2f}  {name}" for gap, name in largest]
    return "\n".join(lines)


def _gap(prompt: dict[str, Any]) -> float | None:
    for key in ("score", "preference"):
        a, b = prompt.get(f"{key}_a"), prompt.get(f"{key}_b")
        if a is not None and b is not None:
            return float(a - b)
    return None
