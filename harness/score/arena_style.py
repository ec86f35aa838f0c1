"""Arena-Hard's style control for stored judgments: one Bradley-Terry fit of all models with covariates of style.

The answers of the models and of the baseline come from ``--answers``; a model whose answers are not all there is left
out of the fit, and its row says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.adapters import arena_hard
from harness.score.request import Request
from harness.stats import bradley_terry, style
from harness.stats.bradley_terry import Battles, Strengths
from harness.stats.style import Style

Line = dict[str, Any]
Answers = dict[tuple[str, str], Style]
Controlled = dict[str, dict[str, Any]]

NO_ANSWERS = "style control needs the models' and the baseline's answers (--answers)"


def control(request: Request, models: dict[str, list[Line]]) -> Controlled:
    """By model: the style-controlled part of its row."""
    if not request.answers:
        return {model: without(NO_ANSWERS) for model in models}
    answers = arena_hard.read_answers(request.answers)
    reasons = {model: _why_not(model, lines, answers) for model, lines in models.items()}
    fitted = {model: _judged(models[model]) for model, reason in reasons.items() if reason is None}
    found = {model: without(reason) for model, reason in reasons.items() if reason is not None}
    if fitted:
        baselines = {str(lines[0]["baseline"]) for lines in fitted.values()}
        strengths = _fit(fitted, answers, request) if len(baselines) == 1 else None
        for model in fitted:
            found[model] = _with(strengths, model, request) if strengths else without("several baselines")
    return found


def without(reason: str) -> dict[str, Any]:
    """No style-controlled rate, and why."""
    rates = dict.fromkeys(("lc_win_rate", "lc_win_rate_low", "lc_win_rate_high"))
    return {**rates, "lc_reason": reason, "length_control": None}


def _judged(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["preference"] is not None]


def _why_not(model: str, lines: list[Line], answers: Answers) -> str | None:
    judged = _judged(lines)
    if not judged:
        return "no verdict at all"
    baseline = judged[0].get("baseline")
    if baseline is None:
        return "the files do not name the baseline (--baseline NAME)"
    for name in (model, str(baseline)):
        lacking = [line["prompt_id"] for line in judged if (name, line["prompt_id"]) not in answers]
        if lacking:
            return f"{name} has no answer to {len(set(lacking))} questions, such as {lacking[0]}"
    return None


def _fit(models: dict[str, list[Line]], answers: Answers, request: Request) -> Strengths:
    """A "much better" is three rows, also where features are z-scored, as published."""
    rows = [line for lines in models.values() for line in lines for _ in range(int(line["weight"]))]
    baseline = str(rows[0]["baseline"])
    names = [baseline, *(model for model in models if model != baseline)]
    features = style.covariates(
        [answers[line["model"], line["prompt_id"]] for line in rows],
        [answers[baseline, line["prompt_id"]] for line in rows],
    )
    battles = Battles(
        names,
        np.array([names.index(line["model"]) for line in rows]),
        np.zeros(len(rows), dtype=int),
        np.array([float(line["preference"]) for line in rows]),
        np.ones(len(rows)),
        np.array([line["prompt_id"] for line in rows]),
        features,
    )
    return bradley_terry.fit(battles, baseline, draws=request.lc_draws, seed=request.seed)


def _with(found: Strengths, model: str, request: Request) -> dict[str, Any]:
    return {
        "lc_win_rate": found.win_rate[model],
        "lc_win_rate_low": found.low[model],
        "lc_win_rate_high": found.high[model],
        "lc_reason": None,
        "lc_interval_note": f"percentile bootstrap over {found.n_questions} questions, {request.lc_draws} draws, "
        f"seed {request.seed}",
        "length_control": "style",
        "style_coefficients": dict(zip(style.NAMES, found.covariates, strict=True)),
    }
