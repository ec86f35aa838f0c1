"""The committed coverage of our intervals: the whole grid is there, and what is off is said beside the interval."""

import itertools
import json
import re
from pathlib import Path

import pytest

from harness.stats import alpaca_lc_bootstrap, crossed, intervals, length_control

RESULT = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "coverage.json"
SIZES, RATES = (120, 300, 805), (0.02, 0.1, 0.5, 0.95)
KINDS = tuple(itertools.product(("binary", "soft"), ("without ties", "with ties")))
SECTIONS = ("win_rate", "difference", "three_seeds", "length_control", "alpaca_fit")


SLOW = ("length_control", "alpaca_fit")


@pytest.fixture(scope="module")
def result():
    return json.loads(RESULT.read_text())


def cells_of(result, section):
    """A section's cells; the two that take longest may be simulated in several runs."""
    cells = result.get(section, [])
    if section in SLOW and len(cells) < (16 if section == "alpaca_fit" else 48):
        pytest.skip(f"{len(cells)} cells of {section} are simulated; python benchmarks/coverage.py --missing goes on")
    return cells


@pytest.mark.parametrize("section", SECTIONS)
def test_every_cell_of_the_grid_was_simulated_2000_times(result, section):
    assert result["simulations_per_cell"] == 2000
    sizes = (805,) if section == "alpaca_fit" else SIZES
    expected = {(n, rate, *kind) for n, rate, kind in itertools.product(sizes, RATES, KINDS)}
    cells = cells_of(result, section)
    assert {(cell["n"], cell["rate"], cell["verdicts"], cell["ties"]) for cell in cells} == expected
    assert len(cells) == len(expected) * (2 if section == "difference" else 1)


def test_intervals_of_win_rates_cover_93_to_97_percent_in_every_cell(result):
    off = [cell for cell in cells_of(result, "win_rate") if not 0.93 <= cell["coverage"] <= 0.97]
    assert not off


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("difference", intervals.CONSERVATIVE),
        ("three_seeds", crossed.COVERAGE),
        ("length_control", length_control.ROBUST_COVERAGE),
        ("alpaca_fit", alpaca_lc_bootstrap.COVERAGE),
    ],
)
def test_where_a_cell_is_off_the_interval_says_what_it_covers(result, section, said):
    low, high = (int(number) / 100 for number in re.search(r"covers (\d+) to (\d+) %", said).groups())
    off = [cell["coverage"] for cell in cells_of(result, section) if not 0.93 <= cell["coverage"] <= 0.97]
    assert off
    assert all(low - 0.005 <= coverage <= high + 0.005 for coverage in off)
