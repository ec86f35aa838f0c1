"""Win rate, standard error and counts, against AlpacaEval's own function and against identities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.win_rate import win_rate

preferences = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=40)


@given(preferences)
def test_the_win_rates_of_both_sides_add_up_to_one_hundred(values):
    ours, theirs = win_rate(np.array(values)), win_rate(1 - np.array(values))
    assert ours.win_rate + theirs.win_rate == pytest.approx(100, abs=1e-9)
    assert ours.standard_error == pytest.approx(theirs.standard_error, abs=1e-9)


@given(preferences)
def test_wins_losses_and_draws_are_all_verdicts(values):
    counted = win_rate(np.array(values))
    assert counted.n_wins + counted.n_wins_base + counted.n_draws == counted.n == len(values)


def test_a_preference_just_above_one_half_is_a_win_and_not_rounded_away():
    counted = win_rate(np.array([0.5, 0.5000001, 0.4999999]))
    assert (counted.n_draws, counted.n_wins, counted.n_wins_base) == (1, 1, 1)
    assert counted.discrete_win_rate == pytest.approx(50)


def test_a_missing_verdict_is_counted_and_is_not_a_loss():
    with_gap, without = win_rate(np.array([1.0, np.nan, 0.0])), win_rate(np.array([1.0, 0.0]))
    assert (with_gap.n, with_gap.n_missing) == (2, 1)
    assert with_gap.win_rate == without.win_rate == 50
    assert with_gap.standard_error == without.standard_error


def test_nothing_is_estimated_from_no_verdict_and_no_error_from_one():
    empty, single = win_rate(np.array([np.nan])), win_rate(np.array([0.75]))
    assert (empty.win_rate, empty.standard_error, empty.discrete_win_rate, empty.n_missing) == (
        None,
        None,
        None,
        1,
    )
    assert (single.win_rate, single.standard_error) == (75.0, None)


def test_a_preference_on_the_scale_of_one_to_two_is_refused():
    with pytest.raises(ValueError, match="outside 0 to 1"):
        win_rate(np.array([0.2, 1.5]))


def test_the_standard_error_is_scipys_and_not_divided_again():
    from scipy.stats import sem

    values = np.random.default_rng(0).random(300)
    assert win_rate(values).standard_error == pytest.approx(100 * sem(values), rel=1e-12)
    assert win_rate(np.tile(values, 4)).standard_error == pytest.approx(100 * sem(values) / 2, rel=2e-3)
