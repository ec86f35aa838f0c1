"""Means over training seeds: identities, and the coverage that instructions alone do not give."""

import numpy as np
import pytest

from harness.stats import bootstrap
from harness.stats.crossed import crossed_mean


def simulate(generator, n_seeds=3, n=120, seed_effect=0.03, instruction_effect=0.3, noise=0.2):
    return (
        0.5
        + generator.normal(0, seed_effect, (n_seeds, 1))
        + generator.normal(0, instruction_effect, (1, n))
        + generator.normal(0, noise, (n_seeds, n))
    )


def test_the_interval_covers_new_seeds_where_the_bootstrap_of_instructions_does_not():
    generator = np.random.default_rng(0)
    crossed = naive = 0
    for trial in range(400):
        values = simulate(generator)
        found = crossed_mean(values)
        crossed += found.low <= 0.5 <= found.high
        low, high = bootstrap.mean_interval(values.mean(0), draws=300, seed=trial % 4)
        naive += low <= 0.5 <= high
    assert 0.92 <= crossed / 400 <= 0.985
    assert naive / 400 < 0.92


def test_without_any_effect_of_the_seed_it_is_about_the_standard_error_over_instructions():
    values = simulate(np.random.default_rng(1), seed_effect=0, noise=0.01)
    plain = values.mean(0).std(ddof=1) / np.sqrt(120)
    assert crossed_mean(values).standard_error == pytest.approx(plain, rel=0.02)


def test_the_variance_is_that_of_the_mean_squares():
    values = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.5]])
    seed = 3 * ((values.mean(1) - values.mean()) ** 2).sum()
    instruction = 2 * ((values.mean(0) - values.mean()) ** 2).sum() / 2
    error = (values.var() * 6 - seed - 2 * instruction) / 2
    assert crossed_mean(values).standard_error ** 2 == pytest.approx((seed + instruction - error) / 6)


def test_equal_values_have_no_error_and_too_few_are_refused():
    assert crossed_mean(np.full((3, 5), 0.5)).standard_error == 0
    for values in (np.ones((1, 5)), np.ones((3, 1)), np.array([[1, np.nan], [0, 1]])):
        with pytest.raises(ValueError, match="at least two"):
            crossed_mean(values)
