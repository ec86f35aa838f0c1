"""A row of MT-Bench: means of ratings of 1 to 10, with intervals that resample questions."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.errors import ConfigError
from harness.protocols import mt_bench as protocol
from harness.score.request import Request
from harness.stats import bootstrap, clustered

Line = dict[str, Any]


def estimate(lines: list[Line], request: Request) -> dict[str, Any]:
    """``score`` is the mean over all verdicts of both turns, as published; a question's turns are resampled together.

    Failed verdicts enter no mean. Raises ConfigError for a turn that the benchmark does not have.
    """
    for line in lines:
        if line["turn"] not in protocol.TURNS:
            raise ConfigError(f"{line['source']}: turn {line['turn']!r}; MT-Bench has turns 1 and 2.")
    rated = [line for line in lines if line["rating"] is not None]
    low, high = _interval(rated, request)
    found: dict[str, Any] = {"score": _mean(rated), "score_low": low, "score_high": high}
    for turn in protocol.TURNS:
        part = [line for line in rated if line["turn"] == turn]
        found[f"turn_{turn}"] = _mean(part)
        found[f"turn_{turn}_low"], found[f"turn_{turn}_high"] = _interval(part, request)
    n_questions = len({line["prompt_id"] for line in rated})
    return found | {
        "n": len(rated),
        "n_questions": n_questions,
        "notes": [
            f"percentile bootstrap over {n_questions} questions, {request.draws} draws, seed {request.seed}"
            if low is not None
            else "fewer than two questions: no interval"
        ],
    }


def _mean(lines: list[Line]) -> float | None:
    return float(np.mean([line["rating"] for line in lines])) if lines else None


def _interval(lines: list[Line], request: Request) -> tuple[float | None, float | None]:
    questions = np.array([line["prompt_id"] for line in lines])
    if len(set(questions)) < clustered.FEWEST:
        return None, None
    values = np.array([line["rating"] for line in lines])
    return bootstrap.mean_interval(values, questions, draws=request.draws, seed=request.seed)
