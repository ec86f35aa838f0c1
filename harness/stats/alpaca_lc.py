"""AlpacaEval 2's own length-controlled win rate (glm ``length_controlled_v1``), one fit per model.

    logit P(model preferred) = b0 tanh(d / std(d)) + b1 difficulty + b2,   d = len_baseline - len_model

Trained on 1,610 "gamed" rows of weight 0.1, where b2 is off, followed by the model's rows of weight 1;
every row twice, as a win with weight p s and as a loss with weight (1 - p) s. L1-penalised by liblinear,
whose strength C is chosen by grouped five-fold cross-validation. LC = 100 mean over the model's rows of the
prediction with b0's term at zero.

The published code joins the difficulties by row position, so that one absent row shifts all later ones:
that is ``join="official"``. ``join="corrected"`` (default) joins by instruction and averages over answered
rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit

Array = np.ndarray
Join = Literal["corrected", "official"]

STRENGTHS = np.logspace(-4, 4, 10)
FOLDS = 5
GAMED_WEIGHT = 0.1
TOLERANCE = 1e-4
SEED = 123


@dataclass(frozen=True)
class Gamed:
    """The rows of verbose and concise variants of the baseline that anchor the length effect; each
    (n_gamed,).

    ``scaled_delta`` is the length difference already divided by its standard deviation, tanh not yet applied.
    """

    preference: Array
    scaled_delta: Array
    difficulty: Array


@dataclass(frozen=True)
class AlpacaLc:
    """``win_rate`` on 0 to 100; ``spread`` is what the official leaderboard calls lc_standard_error.

    It is the spread of predictions over instructions only, not the uncertainty of the fit.
    """

    win_rate: float
    spread: float
    coefficients: tuple[float, float, float]
    strength: float
    join: Join


def from_weights(coefficients: tuple[float, float, float], difficulty: Array) -> float:
    """LC of published coefficients (b0, b1, b2), 0 to 100, over instructions of these difficulties, (n,)."""
    _, on_difficulty, constant = coefficients
    return 100 * float(expit(constant + on_difficulty * difficulty).mean())


def alpaca_length_controlled(
    preference: Array,
    len_model: Array,
    len_baseline: Array,
    instruction: Array,
    difficulty: Array,
    gamed: Gamed,
    *,
    join: Join = "corrected",
    strength: float | None = None,
) -> AlpacaLc:
    """Fit one model's rows, in the order of the benchmark; needs scikit-learn.

    ``preference`` (n,) in [0, 1], NaN where the verdict is missing (the row is left out of training);
    ``instruction`` (n,) is each row's number in the benchmark, an index into ``difficulty``; ``strength``
    fixes C instead of choosing it.
    """
    delta = (len_baseline - len_model).astype(np.float64)
    deviation = delta.std(ddof=1)
    if not deviation > 0:
        raise ValueError("the length difference does not vary, so length cannot be controlled for")
    joined = difficulty[np.arange(len(preference)) if join == "official" else instruction]
    features = np.column_stack([np.tanh(delta / deviation), joined, np.ones(len(preference))])
    answered = ~np.isnan(preference)
    rows = _training_rows(features[answered], preference[answered], gamed)
    chosen = _choose_strength(*rows) if strength is None else strength
    coefficients = _fit(*rows, chosen)
    counted = features if join == "official" else features[answered]
    predicted = 100 * expit(counted[:, 1:] @ coefficients[1:])
    spread = float(predicted.std(ddof=1) / np.sqrt(len(predicted)))
    b0, b1, b2 = (float(value) for value in coefficients)
    return AlpacaLc(float(predicted.mean()), spread, (b0, b1, b2), chosen, join)


def _training_rows(features: Array, preference: Array, gamed: Gamed) -> tuple[Array, Array, Array]:
    """(features (rows, 3), preference (rows,), weight (rows,)): gamed rows first."""
    anchors = np.column_stack([np.tanh(gamed.scaled_delta), gamed.difficulty, np.zeros(len(gamed.preference))])
    weight = np.r_[np.full(len(anchors), GAMED_WEIGHT), np.ones(len(features))]
    return np.r_[anchors, features], np.r_[gamed.preference, preference], weight


def _choose_strength(features: Array, preference: Array, weight: Array) -> float:
    """The C with the smallest mean over folds of (mean over rows of weight x log loss)."""
    losses = np.zeros(len(STRENGTHS))
    for train, test in _folds(len(features)):
        # liblinear visits rows at random; the published code draws on through the strengths of a fold
        generator = np.random.RandomState(SEED)
        for number, strength in enumerate(STRENGTHS):
            coefficients = _fit(features[train], preference[train], weight[train], float(strength), generator)
            losses[number] += _soft_log_loss(features[test] @ coefficients, preference[test], weight[test])
    return float(STRENGTHS[np.argmin(losses)])


def _folds(n_rows: int) -> list[tuple[Array, Array]]:
    """(train, test) row numbers; both copies of a row are always in one fold, so the split is over rows."""
    from sklearn.model_selection import GroupKFold

    groups = np.tile(np.arange(n_rows), 2)
    splits = GroupKFold(n_splits=FOLDS).split(groups, groups=groups)
    return [(train[train < n_rows], test[test < n_rows]) for train, test in splits]


def _soft_log_loss(logit: Array, preference: Array, weight: Array) -> float:
    """Mean over rows of weight x log loss; not divided by the sum of the weights, as published."""
    chance = np.clip(expit(logit), 1e-15, 1 - 1e-15)
    loss = -(preference * np.log(chance) + (1 - preference) * np.log(1 - chance)) * weight
    return float(loss.mean())


def _fit(features: Array, preference: Array, weight: Array, strength: float, random: Any = SEED) -> Array:
    """Coefficients (3,) of liblinear's L1 logistic regression without intercept, at its published
    tolerance.
    """
    model = _liblinear(strength, random)
    labels = np.repeat([1, 0], len(features))
    model.fit(np.r_[features, features], labels, sample_weight=np.r_[preference * weight, (1 - preference) * weight])
    coefficients: Array = model.coef_[0]
    return coefficients


def _liblinear(strength: float, random: Any) -> Any:
    import sklearn
    from sklearn.linear_model import LogisticRegression

    release = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
    lasso: dict[str, Any] = {"l1_ratio": 1.0} if release >= (1, 8) else {"penalty": "l1"}
    return LogisticRegression(
        solver="liblinear", C=strength, fit_intercept=False, tol=TOLERANCE, random_state=random, **lasso
    )
