"""Training metrics → small charts, one per metric and stage: supervised first, then the preference stage."""

from __future__ import annotations

import math

from harness.leaderboard import axes, display
from harness.leaderboard.cells import View
from harness.leaderboard.fields import Row

HEIGHT = 120.0
MOST_POINTS = 300
MOST_LINES = 25

# metrics.jsonl key, and its name; what else a line holds is shown under its own name
NAMES = {
    "loss": "Loss",
    "eval_loss": "Held-out loss",
    "learning_rate": "Learning rate",
    "grad_norm": "Gradient norm",
    "nll": "Negative log-likelihood",
    "mean_slope": "Mean φ′(β d)",
    "mean_d": "Mean d, log π − log π₀",
    "std_d": "Standard deviation of d",
    "tangent_rate": "Tokens on the tangent",
    "reward_chosen": "Reward of chosen",
    "reward_rejected": "Reward of rejected",
    "reward_margin": "Reward margin",
    "accuracy": "Preference accuracy",
    "eval_accuracy": "Held-out preference accuracy",
    "eval_reward_margin": "Held-out reward margin",
    "eval_mean_slope": "Held-out mean φ′(β d)",
    "surviving_updates": "Surviving updates",
}
_NO_CURVE = ("step", "tokens", "seconds", "applied_over_intended")


def stages(manifests: list[Row]) -> list[View]:
    """One block per training stage that has metrics."""
    return [_block(manifest) for manifest in manifests if manifest.get("metrics")]


def _block(manifest: Row) -> View:
    lines = manifest["metrics"]
    keys = [key for key in NAMES if _values(lines, key)]
    keys += sorted({key for line in lines for key in line if _values(lines, key)} - {*NAMES, *_NO_CURVE})
    objective = (manifest.get("identity") or {}).get("objective") or {}
    name = {"sft": "SFT", "f_sft": "f-SFT"}.get(str(objective.get("name")), str(objective.get("name") or "").upper())
    picked = _thinned(lines, MOST_LINES)
    return {
        "name": name or "Training",
        "key": f"{manifest.get('kind')}/{manifest.get('key')}",
        "steps": len(lines),
        "charts": [_chart(lines, key) for key in keys],
        "head": ["Step", *(NAMES.get(key, key) for key in keys)],
        "body": [[str(line.get("step", ""))] + [display.measured(line.get(key)) for key in keys] for line in picked],
        "whole": len(picked) == len(lines),
    }


def _values(lines: list[Row], key: str) -> list[float]:
    """The metric's finite numbers."""
    found = [line.get(key) for line in lines]
    return [
        float(value)
        for value in found
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _thinned(lines: list[Row], most: int) -> list[Row]:
    """At most ``most`` lines, evenly spaced, with the first and the last."""
    if len(lines) <= most:
        return lines
    return [lines[round(k * (len(lines) - 1) / (most - 1))] for k in range(most)]


def _chart(lines: list[Row], key: str) -> View:
    values = _values(lines, key)
    # held-out values stand at some steps only: a line through those, not a gap between any two of them
    shown = _thinned([line for line in lines if key in line], MOST_POINTS)
    points = [(float(line.get("step") or 0), _number(line.get(key))) for line in shown]
    x = axes.across((across for across, _ in points), margin=0)
    y = axes.down(values, HEIGHT)
    return {
        "title": NAMES.get(key, key),
        "height": HEIGHT,
        "xticks": axes.x_ticks(x)[:: 2 if len(axes.x_ticks(x)) > 5 else 1],
        "yticks": axes.y_ticks(y, 3),
        "d": axes.path(points, x, y),
        "single": {"x": x.at(points[0][0]), "y": y.at(values[0])} if len(points) == 1 else None,
        "text": f"from {display.measured(values[0])} to {display.measured(values[-1])}",
    }


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
