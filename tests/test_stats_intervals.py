"""Wilson, Agresti-Min and bootstrap intervals: against libraries, identities and a small coverage check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import bootstrap
from harness.stats.closed_form import adjusted_difference, agresti_min, score_interval, wilson
from harness.stats.intervals import difference_interval, rate_interval
from harness.stats.win_rate import standard_error

outcomes = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.8, 1.0]), min_size=2, max_size=60)


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (1, 20), (7, 120), (60, 120), (120, 120)])
def test_wilson_is_scipys(successes, n):
    from scipy.stats import binomtest

    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(outcomes)
def test_an_interval_contains_its_estimate_and_stays_between_0_and_100(values):
    found = rate_interval(np.array(values), draws=300)
    if found.low is not None:
        assert 0 <= found.low <= 100 * np.mean(values) + 1e-9
        assert 100 * np.mean(values) - 1e-9 <= found.high <= 100


@given(outcomes)
def test_the_interval_of_the_other_side_is_the_mirror_image(values):
    hard = np.array([value for value in values if value in (0, 0.5, 1)] + [1.0, 0.5])
    one, other = rate_interval(hard), rate_interval(1 - hard)
    if "bootstrap" not in one.note:  # the bootstrap's draws are the same, its quantiles interpolate
        assert (one.low, one.high) == pytest.approx((100 - other.high, 100 - other.low), abs=1e-9)


def test_equal_seeds_give_equal_intervals_and_another_seed_another():
    values = np.random.default_rng(1).random(120)
    assert bootstrap.mean_interval(values, seed=3) == bootstrap.mean_interval(values, seed=3)
    assert bootstrap.mean_interval(values, seed=3) != bootstrap.mean_interval(values, seed=4)


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error():
    values = np.random.default_rng(2).beta(2, 3, size=800)
    low, high = bootstrap.mean_interval(values, draws=20_000)
    assert (high - low) / 2 == pytest.approx(1.96 * standard_error(values), rel=0.03)


def test_verdicts_of_one_instruction_are_resampled_together():
    values = np.random.default_rng(3).random(100)
    clusters = np.arange(100)
    alone = bootstrap.mean_interval(values, clusters)
    copied = bootstrap.mean_interval(np.tile(values, 4), np.tile(clusters, 4))
    by_row = bootstrap.mean_interval(np.tile(values, 4))
    assert copied == pytest.approx(alone)  # copies of a verdict add no knowledge
    assert by_row[1] - by_row[0] < 0.6 * (alone[1] - alone[0])  # the fault: rows resampled


def test_nearly_equal_verdicts_get_an_interval_with_a_width():
    ties = rate_interval(np.full(75, 0.5))
    assert "Agresti" in ties.note
    assert ties.low < 49 < 51 < ties.high
    assert rate_interval(np.ones(75)).low < 97


def test_no_interval_is_invented_from_one_verdict_or_from_equal_soft_ones():
    assert (rate_interval(np.array([1.0])).low, rate_interval(np.full(9, 0.3)).high) == (None, None)


def test_a_paired_difference_is_the_rate_on_another_scale():
    differences = np.repeat([1.0, 0.0, -1.0], [30, 50, 20])
    found = difference_interval(differences)
    assert found.low < 10 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 100 * standard_error(differences), rel=0.05)


def test_agresti_min_is_the_published_formula():
    # 100 pairs, 12 to one side and 4 to the other: (12.5 - 4.5) / 102 and Wald's width around it
    margin = 8 / 102
    half = 1.959964 * np.sqrt((17 - 64 / 102) / 102**2)
    low, high = agresti_min(12, 4, 100)
    assert (2 * low - 1, 2 * high - 1) == pytest.approx((margin - half, margin + half), abs=1e-6)


@pytest.mark.parametrize(("win", "loss"), [(0.5, 0.5), (0.3, 0.1), (0.1, 0.0), (0.95, 0.03)])
def test_ninety_five_percent_intervals_cover_about_that_often(win, loss):
    generator = np.random.default_rng(4)
    truth, hits, trials = 50 * (1 + win - loss), 0, 400
    for counts in generator.multinomial(120, [win, max(0.0, 1 - win - loss), loss], size=trials):
        found = rate_interval(np.repeat([1.0, 0.5, 0.0], counts), draws=500)
        hits += found.low - 1e-9 <= truth <= found.high + 1e-9
    assert 0.92 <= hits / trials <= 0.99


@given(st.integers(0, 40), st.integers(1, 40))
def test_the_score_interval_of_hard_outcomes_is_wilsons_with_one_outcome_less(wins, losses):
    values = np.repeat([1.0, 0.0], [wins, losses])
    n = len(values)
    if n < 2:
        return
    found = score_interval(values.mean(), values.var(ddof=1), n, rare=min(wins, losses))
    expected = wilson(values.mean() * (n - 1), n - 1) if 0 < wins < n else wilson(wins, n)
    assert found == pytest.approx(expected, abs=1e-12)


def test_soft_verdicts_that_hide_their_rare_wins_get_no_narrow_interval():
    values = np.full(120, 1e-4)
    values[:3] = 2e-4
    found = rate_interval(values)
    assert "score interval" in found.note
    assert found.high > 2.5  # none of 120 was won: Wilson's end is 3.1


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 200))
def test_the_adjusted_difference_of_hard_outcomes_is_agresti_mins(wins, losses, ties):
    n = wins + losses + ties
    low, high = adjusted_difference(wins - losses, wins + losses, n)
    assert ((1 + low) / 2, (1 + high) / 2) == pytest.approx(agresti_min(wins, losses, n), abs=1e-12)


@given(outcomes, outcomes)
def test_the_interval_of_a_difference_mirrors_when_the_rows_are_exchanged(left, right):
    n = min(len(left), len(right))
    difference = np.array(left[:n]) - np.array(right[:n])
    one, other = difference_interval(difference, draws=200), difference_interval(-difference, draws=200)
    if one.low is not None and "bootstrap" not in one.note:
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@pytest.mark.parametrize(("rate", "n"), [(0.02, 120), (0.02, 300), (0.95, 120)])
def test_soft_verdicts_near_an_end_are_covered_about_that_often(rate, n):
    generator, hits, trials = np.random.default_rng(6), 0, 600
    for values in generator.beta(0.3 * rate, 0.3 * (1 - rate), size=(trials, n)):
        found = rate_interval(values, draws=300)
        hits += found.low <= 100 * rate <= found.high
    assert 0.93 <= hits / trials <= 0.985


def test_more_draws_do_not_narrow_an_interval():
    values = np.random.default_rng(8).random(200)
    few, many = (bootstrap.mean_interval(values, draws=draws) for draws in (1000, 16_000))
    # a bootstrap's standard error divided by sqrt(draws) again would be a quarter as wide
    assert many[1] - many[0] == pytest.approx(few[1] - few[0], rel=0.1)
