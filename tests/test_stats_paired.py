"""Sign-flip test, Holm's correction and the smallest detectable difference, against scipy and by listing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import paired


def p_value(differences, **settings):
    return float(paired.sign_flip_test(np.asarray(differences, float)[:, None], **settings)[0])


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=12))
def test_the_exact_p_value_is_that_of_all_sign_patterns(differences):
    values = np.array(differences)
    signs = 2 * (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1) - 1
    expected = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert p_value(values) == pytest.approx(expected, abs=1e-12)


def test_for_passes_and_failures_it_is_mcnemars_exact_test():
    from scipy.stats import binomtest

    differences = np.repeat([1.0, -1.0, 0.0], [31, 14, 255])
    assert p_value(differences) == pytest.approx(binomtest(31, 45).pvalue, rel=1e-9)


def test_soft_differences_agree_with_scipys_permutation_test():
    from scipy.stats import permutation_test

    values = np.random.default_rng(0).normal(0.12, 0.3, size=60)
    expected = permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
    )
    assert p_value(values) == pytest.approx(expected.pvalue, abs=0.01)


def test_few_soft_differences_are_listed_exactly_whatever_the_seed():
    values = np.random.default_rng(2).normal(0.3, 0.4, size=12)
    assert p_value(values, seed=0) == p_value(values, seed=1)


def test_a_sampled_p_value_is_seeded_and_never_zero():
    values = np.random.default_rng(3).normal(2, 0.1, size=100)
    assert p_value(values, draws=1000) == pytest.approx(1 / 1001)
    noisy = np.random.default_rng(4).normal(0.05, 0.3, size=100)
    assert p_value(noisy, seed=1) == p_value(noisy, seed=1)


def test_prompts_that_a_pair_does_not_share_change_nothing():
    values = np.array([0.5, 1, -0.5, 1, 1])
    assert p_value(np.r_[values, np.zeros(50)]) == p_value(values)


def test_no_difference_at_all_is_no_evidence():
    assert p_value(np.zeros(10)) == 1


def test_under_the_null_hypothesis_few_pairs_are_significant():
    columns = np.random.default_rng(5).choice([-1.0, 0.0, 1.0], size=(200, 400), p=[0.2, 0.6, 0.2])
    assert (paired.sign_flip_test(columns) < 0.05).mean() < 0.075


def test_holm_steps_down_and_keeps_the_order():
    adjusted = paired.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])
    assert len(paired.holm(np.array([]))) == 0


def test_the_smallest_detectable_difference_is_found_with_eighty_percent_power():
    n, deviation = 300, 0.6
    effect = paired.smallest_detectable_difference(deviation, n)
    generator = np.random.default_rng(6)
    samples = generator.normal(effect, deviation, size=(2000, n))
    z = samples.mean(1) / (samples.std(1, ddof=1) / np.sqrt(n))
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
