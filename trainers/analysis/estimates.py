"""The `rewards` and `values` tasks: arithmetic on two passes of the same responses, in float64.

With d_t = log pi(y_t|s_t) - log pi_0(y_t|s_t), l and l0 the logits of policy and reference (docs/analysis.md):
  R   = beta sum_t d_t                                   implicit reward of a response
  Q   = beta (l - l0),  V = beta (logsumexp l - logsumexp l0),   beta d_t = Q(s_t, y_t) - V(s_t)
  r_t = beta d_t + V_t - V_{t+1},   V_T = 0 after an end-of-turn token, V(s_T) of a truncated response
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.analysis.states import Pass, load_both
from trainers.analysis.tasks import Rewards, Values
from trainers.errors import TrainerError
from trainers.output import Run, write_jsonl

Array = NDArray[np.float64]


def log_ratios(policy: Pass, reference: Pass) -> list[Array]:
    """d_t of every response, (T_i,) each."""
    return [own - other for own, other in zip(policy.logprob, reference.logprob, strict=True)]


def values(policy: Array, reference: Array, beta: float, ended: bool) -> Array:
    """V at s_0 … s_T, (T + 1,), from both models' logsumexp there."""
    found: Array = beta * (policy - reference)
    if ended:
        found[-1] = 0.0
    return found


def step_rewards(log_ratio: Array, value: Array, beta: float) -> Array:
    """r_t of a response, (T,); their sum telescopes to ``beta sum d_t + V_0 - V_T``."""
    found: Array = beta * log_ratio + value[:-1] - value[1:]
    return found


def run_rewards(spec: Any) -> None:
    """Run a `Rewards` task: ``rewards.jsonl``, one line per pair or demonstration."""
    task: Rewards = spec.task
    clock = Run(spec)
    policy, reference = load_both(task.policy, task.reference)
    described = [_reward(policy, reference, number, task.beta) for number in range(len(policy.rows))]
    ids = [row["id"] for row in policy.rows]
    if not task.pairs:
        lines = [{"id": row, **each} for row, each in zip(ids, described, strict=True)]
        summary = {"responses": len(lines), "mean_reward": float(np.mean([each["reward"] for each in described]))}
    else:
        lines = _pairs(ids, described)
        margins = np.array([line["margin"] for line in lines])
        summary = {"pairs": len(lines), "accuracy": float(_concordance(margins)), "mean_margin": float(margins.mean())}
    write_jsonl(clock.directory / "rewards.jsonl", lines)
    clock.finish(["rewards.jsonl"], {**summary, "beta": task.beta})


def _reward(policy: Pass, reference: Pass, number: int, beta: float) -> dict[str, Any]:
    own, other = policy.logprob[number], reference.logprob[number]
    ratio = own - other
    return {
        "reward": float(beta * ratio.sum()),
        "logprob": float(own.sum()),
        "reference_logprob": float(other.sum()),
        "tokens": len(own),
        "d": _listed(ratio),
    }


def _pairs(ids: list[str], described: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if ids[0::2] != ids[1::2]:
        raise TrainerError(
            "these responses are not preference pairs: some row has no rejected answer.",
            'give pairs, or set "pairs": false for demonstrations',
        )
    return [
        {"id": row, "chosen": chosen, "rejected": rejected, "margin": chosen["reward"] - rejected["reward"]}
        for row, chosen, rejected in zip(ids[0::2], described[0::2], described[1::2], strict=True)
    ]


def _concordance(margins: Array) -> float:
    return float(np.mean((margins > 0) + 0.5 * (margins == 0)))


def run_values(spec: Any) -> None:
    """Run a `Values` task: ``values.jsonl``, one line per response."""
    task: Values = spec.task
    clock = Run(spec)
    policy, reference = load_both(task.policy, task.reference)
    lines = [_value_line(policy, reference, number, task.beta) for number in range(len(policy.rows))]
    write_jsonl(clock.directory / "values.jsonl", lines)
    initial = [line["value"][0] for line in lines]
    clock.finish(
        ["values.jsonl"], {"responses": len(lines), "beta": task.beta, "mean_initial_value": float(np.mean(initial))}
    )


def _value_line(policy: Pass, reference: Pass, number: int, beta: float) -> dict[str, Any]:
    own, other = policy.logsumexp[number], reference.logsumexp[number]
    ended = policy.ended[number]
    return {
        "id": policy.rows[number]["id"],
        "ended": ended,
        "logprob": _listed(policy.logprob[number]),
        "reference_logprob": _listed(reference.logprob[number]),
        "logsumexp": _listed(own),
        "reference_logsumexp": _listed(other),
        "value": _listed(values(own, other, beta, ended)),
    }


def _listed(array: Array) -> list[float]:
    return [round(float(value), 7) for value in array]
