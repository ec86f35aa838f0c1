"""Finished analyses of one row → sections of its page: values along a response, reward margins, credit, drift."""

from __future__ import annotations

from typing import Any

from harness.leaderboard import axes, charts, credit_view, display
from harness.leaderboard.cells import View
from harness.leaderboard.drifts import estimate
from harness.leaderboard.fields import Row

HEIGHT = 180.0
SIDES = {"good": ("s0", 0), "corrupted": ("s2", 1)}


def sections(analyses: dict[str, Row], row: str) -> list[View]:
    """What the analyses say of ``row``; none where it was not measured."""
    kinds = {"rewards": _rewards, "values": _values, "drift": _drift}
    made = [(kind, analyses[kind]) for kind in kinds if row in (analyses.get(kind) or {}).get("rows", {})]
    return [
        {"chart": None, "credits": [], "id": kind, "caption": _caption(analysis), **kinds[kind](analysis, row)}
        for kind, analysis in made
    ]


def _caption(analysis: Row) -> str:
    data = analysis.get("data") or {}
    beta = f", beta {display.short(analysis['beta'])}" if analysis.get("beta") is not None else ""
    told = f"{data.get('source')} {data.get('split')} (seed {data.get('seed')})"
    return (
        f"Against {analysis['reference']}{beta}, on {told}; 95 % intervals clustered by example; {analysis['stage']}."
    )


def _facts(*pairs: tuple[str, str]) -> list[View]:
    return [{"label": label, "text": text} for label, text in pairs if text != display.NOTHING]


def _rewards(analysis: Row, row: str) -> View:
    said = analysis["rows"][row]
    return {
        "title": "As a reward model",
        "facts": _facts(
            ("Accuracy on held-out pairs, percent", estimate(said["accuracy"], 1)),
            ("The same by its log-prob alone", estimate(said["accuracy_logprob"], 1)),
            ("Margin, chosen less rejected", estimate(said["margin"], 2)),
            ("Pairs", str(said["n"])),
        ),
        "chart": _margins(analysis["edges"], analysis["counts"][row]),
        "credits": credit_view.pairs(analysis["credits"][row]),
    }


def _margins(edges: list[float], counts: list[int]) -> View:
    """The histogram of a row's reward margins; every row of the board has the same bins."""
    x = axes.across(edges, margin=0.02)
    y = axes.Scale(0, max(counts) * 1.05 or 1, HEIGHT, axes.TOP)
    zero = f"{x.at(0)}%" if edges[0] <= 0 <= edges[-1] else None
    bars = [(edges[0], 0.0)]
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        bars += [(left, float(count)), (right, float(count))]
    shape = axes.path([*bars, (edges[-1], 0.0)], x, y) + "Z"
    return {
        "id": "margins",
        "title": "Reward margins",
        "about": "How many pairs have which margin of the implicit reward; dashed: 0, where the model cannot tell.",
        **charts.frame(x, y, "R(chosen) − R(rejected)", "pairs", HEIGHT),
        "bands": [{"d": shape, "style": "s0 histogram"}],
        "rule": zero,
        "head": ["From", "To", "Pairs"],
        "body": [
            [display.measured(left), display.measured(right), str(count)]
            for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ],
    }


def _values(analysis: Row, row: str) -> View:
    said = analysis["rows"][row]
    return {
        "title": "Values of states",
        "facts": _facts(
            ("AUC of V, good against corrupted", estimate(said["auc_value"], 3)),
            ("AUC of its log-prob", estimate(said["auc_logprob"], 3)),
            ("AUC of the base's own V", estimate(said["auc_reference_logsumexp"], 3)),
            ("V adds to both, AUC", estimate(said["added"], 3)),
            ("Pairs of continuations", str(said["pairs"])),
        ),
        "chart": _trajectories(said["trajectory"]),
    }


def _trajectories(sides: dict[str, list[Row]]) -> View | None:
    """Mean V by place relative to the first token in which a corrupted continuation differs from the good one."""
    points = [point for side in sides.values() for point in side]
    if not points:
        return None
    x = axes.across((point["place"] for point in points), margin=0.03)
    y = axes.down([value for point in points for value in _known(point)], HEIGHT)
    return {
        "id": "trajectories",
        "title": "Values along a response",
        "about": "Mean V with its interval by place relative to the first token that differs (dashed).",
        **charts.frame(x, y, "states from the first differing token", "V", HEIGHT),
        "bands": [{"d": _band(side, x, y), "style": f"{SIDES[name][0]} band"} for name, side in sides.items()],
        "lines": [
            {
                "d": axes.path([(point["place"], point["estimate"]) for point in side], x, y),
                "style": SIDES[name][0],
                "dash": SIDES[name][1],
            }
            for name, side in sides.items()
        ],
        "legend": [{"name": name, "style": SIDES[name][0], "dash": SIDES[name][1]} for name in sides],
        "rule": f"{x.at(0.5)}%",
        "head": ["Place", *sides],
        "body": _table(sides),
    }


def _known(point: Row) -> list[float]:
    return [point[name] for name in ("estimate", "low", "high") if point.get(name) is not None]


def _band(points: list[Row], x: axes.Scale, y: axes.Scale) -> str:
    known = [point for point in points if point.get("low") is not None]
    upper = [(point["place"], point["high"]) for point in known]
    lower = [(point["place"], point["low"]) for point in reversed(known)]
    return axes.path([*upper, *lower], x, y) + "Z" if known else ""


def _table(sides: dict[str, list[Row]]) -> list[list[str]]:
    by_place: dict[int, dict[str, Any]] = {}
    for name, points in sides.items():
        for point in points:
            by_place.setdefault(point["place"], {})[name] = point
    return [
        [f"{place:+d}" if place else "0", *(estimate(found.get(name), 3) for name in sides)]
        for place, found in sorted(by_place.items())
    ]


def _drift(analysis: Row, row: str) -> View:
    said = analysis["rows"][row]
    shown = said.get("demonstrations") or {}
    return {
        "title": "Drift",
        "facts": _facts(
            (f"KL, nats per response of at most {analysis['max_new_tokens']} tokens", estimate(said["kl"], 2)),
            ("KL per token", estimate(said["kl_per_token"], 3)),
            *((f"KL on part {part}", estimate(figures, 2)) for part, figures in said["by_part"].items()),
            ("log π − log π₀ per held-out demonstration", estimate(shown.get("d"), 2)),
            ("Samples that reached the cap, percent", f"{said['capped']:.0f}"),
            ("Samples", str(said["n"])),
        ),
    }
