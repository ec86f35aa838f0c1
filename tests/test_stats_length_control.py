"""The length-controlled win rate: against a library's fit, identities, and the cases without an answer."""

import time

import numpy as np
import pytest

from harness.stats import bootstrap, length_control
from harness.stats.length_control import length_controlled


def row(n=300, bias=1.0, shift=0.0, seed=0, soft=False):
    """Preferences that favour the longer text by ``bias``; the model writes ``shift`` characters more."""
    generator = np.random.default_rng(seed)
    model = generator.integers(50, 400, n) + shift
    base = generator.integers(50, 400, n)
    delta = model - base
    chance = 1 / (1 + np.exp(-(bias * np.tanh(delta / delta.std()) - 0.2)))
    wins = chance if soft else (generator.random(n) < chance).astype(float)
    wins[: n // 5] = 0.5
    return wins, model.astype(float), base.astype(float)


def library_fit(preferences, model, base):
    from sklearn.linear_model import LogisticRegression

    delta = base - model
    x = np.tanh(delta / delta.std(ddof=1))
    y = np.r_[np.ones(len(x)), np.zeros(len(x))]
    fitted = LogisticRegression(C=1 / length_control.RIDGE, tol=1e-10, max_iter=10_000)
    fitted.fit(np.r_[x, x][:, None], y, sample_weight=np.r_[preferences, 1 - preferences])
    return fitted.coef_[0, 0], fitted.intercept_[0]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0])
def test_the_fit_is_a_converged_librarys(bias, soft):
    data = row(bias=bias, soft=soft)
    slope, intercept = library_fit(*data)
    ours = length_controlled(*data, draws=200)
    assert ours.slope == pytest.approx(slope, abs=1e-4)
    assert ours.win_rate == pytest.approx(100 / (1 + np.exp(-intercept)), abs=1e-3)


def test_each_draw_of_the_bootstrap_is_the_fit_of_its_resample():
    preferences, model, base = row(n=60)
    weights = bootstrap.weights(60, 5, seed=1)
    slopes, intercepts = length_control.fit(preferences, base - model, weights)
    for draw, slope, intercept in zip(weights, slopes, intercepts, strict=True):
        chosen = np.repeat(np.arange(60), draw.astype(int))
        expected = library_fit(preferences[chosen], model[chosen], base[chosen])
        assert (slope, intercept) == pytest.approx(expected, abs=2e-4)


def test_preferences_that_do_not_depend_on_length_keep_their_win_rate():
    # each preference is given once with a difference and once with its opposite
    preferences = np.tile([1.0, 1.0, 0.5, 0.0, 0.8], 2)
    delta = np.array([10.0, 40, 5, 25, 60])
    base = np.full(10, 100.0)
    found = length_controlled(preferences, base - np.r_[delta, -delta], base)
    assert found.win_rate == pytest.approx(66, abs=1e-6)
    assert found.slope == pytest.approx(0, abs=1e-6)


def test_a_model_that_wins_by_length_loses_by_the_control():
    preferences, model, base = row(bias=2.0, shift=150)
    found = length_controlled(preferences, model, base)
    assert found.slope < 0  # the model is longer where it wins
    assert found.high < 100 * preferences.mean()


def test_both_sides_together_are_one_hundred():
    preferences, model, base = row()
    one = length_controlled(preferences, model, base)
    other = length_controlled(1 - preferences, base, model)
    assert one.win_rate + other.win_rate == pytest.approx(100, abs=1e-6)


def test_ties_only_give_one_half():
    _, model, base = row()
    assert length_controlled(np.full(300, 0.5), model, base).win_rate == pytest.approx(50)


def test_the_interval_contains_the_estimate_and_is_seeded():
    data = row()
    found = length_controlled(*data, seed=5)
    assert found.low < found.win_rate < found.high
    assert found == length_controlled(*data, seed=5)
    assert found != length_controlled(*data, seed=6)


@pytest.mark.parametrize(
    ("preferences", "model", "reason"),
    [
        ([1, 0, 1, 0], [90, 90, 90, 90], length_control.LENGTHS_EQUAL),
        ([1, 1, 0, 0], [10, 20, 30, 40], length_control.SEPARABLE),
        ([0, 0, 1, 1], [10, 20, 20, 40], length_control.SEPARABLE),
        ([1, 1, 1, 1], [10, 20, 30, 40], length_control.ONE_SIDED),
        ([1], [10], length_control.TOO_FEW),
        ([], [], length_control.TOO_FEW),
    ],
)
def test_without_a_finite_fit_there_is_a_reason_and_no_number(preferences, model, reason):
    arrays = np.array(preferences, float), np.array(model, float), np.full(len(model), 100.0)
    found = length_controlled(*arrays)
    assert (found.win_rate, found.low, found.high) == (None, None, None)
    assert found.reason == reason


def test_nearly_separable_rows_converge_in_every_draw():
    delta = np.linspace(-300, 300, 120)
    preferences = (delta > 0).astype(float)
    preferences[59] = 1.0  # one exception makes the fit finite, while most resamples stay separable
    preferences[61] = 0.0
    found = length_controlled(preferences, 400 - delta, np.full(120, 400.0))
    assert found.reason is None
    assert 0 <= found.low <= found.win_rate <= found.high <= 100


def test_two_thousand_draws_of_805_rows_take_a_moment():
    data = row(n=805)
    started = time.perf_counter()
    length_controlled(*data, draws=2000, seed=99)
    assert time.perf_counter() - started < 10  # about 0.4 s on one idle core


def test_few_outcomes_get_a_robust_interval_that_a_bootstrap_confirms_where_it_can():
    generator = np.random.default_rng(9)
    n = 805
    model, base = generator.integers(50, 400, n).astype(float), generator.integers(50, 400, n).astype(float)
    wins = (generator.random(n) < 0.1).astype(float)  # 80 wins: few enough for the rule, enough to resample
    found = length_controlled(wins, model, base)
    assert "robust" in found.note
    drawn = length_control.fit(wins, base - model, bootstrap.weights(n, 3000, 1))[1]
    low, high = bootstrap.percentile_interval(100 / (1 + np.exp(-drawn)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12 * (high - low))
    mirrored = length_controlled(1 - wins, base, model)
    assert (mirrored.low, mirrored.high) == pytest.approx((100 - found.high, 100 - found.low), abs=1e-6)
    plenty = length_controlled(*row(n=805))
    assert "bootstrap" in plenty.note


def test_one_win_in_many_is_not_known_precisely():
    generator = np.random.default_rng(10)
    model, base = generator.integers(50, 400, 120).astype(float), generator.integers(50, 400, 120).astype(float)
    wins = np.zeros(120)
    wins[int(np.argmax(np.abs(base - model)[1:-1] < 60)) + 1] = 1.0
    found = length_controlled(wins, model, base)
    assert found.low < found.win_rate < 4.6 < found.high + 3  # a binomial of one in 120 reaches 4.6
    assert found.high > 3.5
