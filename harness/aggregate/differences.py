"""Two recipe cells against each other, paired by training seed and instruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.aggregate.outcomes import Outcomes, Seed, complete
from harness.stats import paired
from harness.stats.crossed import CrossedMean, crossed_mean
from harness.stats.intervals import difference_interval

Array = np.ndarray


@dataclass(frozen=True)
class Difference:
    """A minus B in points of 0 to 100, paired by seed and instruction, with what a test of it needs.

    With fewer than two shared seeds ``standard_error`` and ``degrees`` are None: the interval is over instructions,
    of these checkpoints only, and ``p`` is the sign-flip test's.
    """

    effect: float | None
    low: float | None
    high: float | None
    p: float | None
    standard_error: float | None
    degrees: float | None
    seeds: tuple[Seed, ...]
    n: int
    n_left_out: int


def difference(a: Outcomes, b: Outcomes, *, seed: int = 0) -> Difference:
    """Compare two recipe cells. A cell without training (seed None) stands beside every seed of the other."""
    seeds, values, left_out = _paired(a, b)
    n = values.shape[1]
    if not values.size:
        return Difference(None, None, None, None, None, None, seeds, 0, left_out)
    if len(values) < 2 or n < 2:
        interval = difference_interval(values[0], seed=seed)
        p = float(paired.sign_flip_test(values[0][:, None], seed=seed)[0])
        return Difference(100 * float(values.mean()), interval.low, interval.high, p, None, None, seeds, n, left_out)
    found = crossed_mean(values)
    return Difference(
        100 * found.mean,
        100 * found.low,
        100 * found.high,
        two_sided(found, n),
        100 * found.standard_error,
        found.degrees,
        seeds,
        n,
        left_out,
    )


def _paired(a: Outcomes, b: Outcomes) -> tuple[tuple[Seed, ...], Array, int]:
    """(seeds, A minus B (seeds, instructions) where both have all verdicts, instructions left out)."""
    seeds = _shared_seeds(a.seeds, b.seeds)
    prompts = sorted({*a.prompts} | {*b.prompts})
    if not seeds or not prompts:
        return seeds, np.empty((len(seeds), 0)), len(prompts)
    values, left_out = complete(_lines(a, seeds, prompts) - _lines(b, seeds, prompts))
    return seeds, values, left_out


def _shared_seeds(a: tuple[Seed, ...], b: tuple[Seed, ...]) -> tuple[Seed, ...]:
    if b == (None,):
        return a
    return b if a == (None,) else tuple(seed for seed in a if seed in b)


def _lines(cell: Outcomes, seeds: tuple[Seed, ...], prompts: list[str]) -> Array:
    """Outcomes of ``seeds`` on ``prompts``, NaN for a prompt that the cell was not asked."""
    found = np.full((len(seeds), len(prompts)), np.nan)
    position = {prompt: index for index, prompt in enumerate(prompts)}
    columns = [position[prompt] for prompt in cell.prompts]
    for line, seed in enumerate(seeds):
        found[line, columns] = cell.values[0 if cell.seeds == (None,) else cell.seeds.index(seed)]
    return found


def two_sided(found: CrossedMean, n: int) -> float:
    """p-value of "the mean is zero" against Satterthwaite's t; where nothing varies, as n equal signs would give."""
    from scipy.stats import t

    if found.standard_error == 0:
        return 1.0 if found.mean == 0 else float(2.0 ** (1 - n))
    return float(2 * t.sf(abs(found.mean) / found.standard_error, found.degrees))
