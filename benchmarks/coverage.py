"""How often the 95 % intervals contain the truth, by simulation: no claim about speed.

    python benchmarks/coverage.py [win_rate] [difference] [three_seeds] [length_control] [alpaca_fit]

Grid: n in 120, 300, 805 instructions x true rate in 0.02, 0.1, 0.5, 0.95 x hard or soft verdicts x with or without
ties, 2,000 simulations a cell, always with the functions that the harness itself calls. Results go to
``benchmarks/results/coverage.json``; sections that are not named keep what an earlier call found. One process, some
40 minutes in all; ``--simulations 100`` is a quick look that writes nothing.

- win_rate: independent instructions.
- difference: two rows on the same instructions, correlated 0.5, of equal rates ("equal") or 0.8 p + 0.1 against p.
- three_seeds: three checkpoints on the same instructions, correlated 0.5 between seeds, and a seed's own effect of
  0.1 on the probit scale (4 points at one half).
- length_control: our own fit; the truth is its value on the 805 rows of a real model, which are resampled.
- alpaca_fit: AlpacaEval's fit at a fixed C, likewise; it needs its 805 instructions, so n is 805.

Soft verdicts are Beta with most of their mass near 0 and 1, as a judge's log-probs give; with ties, a fifth of the
verdicts (or as many as the rate allows) are one half.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from harness.stats import alpaca_lc, alpaca_lc_bootstrap, bootstrap, length_control
from harness.stats.alpaca_lc import AlpacaLc, Gamed
from harness.stats.crossed import crossed_mean
from harness.stats.intervals import difference_interval, rate_interval

Array = np.ndarray
Covered = tuple[float, float, float]
"""Low, high and truth of one simulation, on one scale."""

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "coverage.json"
SHARED = ROOT.parent / "shared" / "data" / "alpaca_eval"

SIZES = (120, 300, 805)
RATES = (0.02, 0.1, 0.5, 0.95)
KINDS = tuple(itertools.product(("binary", "soft"), ("without ties", "with ties")))
SIMULATIONS = 2000
FIT_DRAWS = 200
"""Bootstrap draws of a length-controlled interval; the harness takes more, which costs too much here."""
FIT_TOLERANCE = 1e-4
"""Of AlpacaEval's fit in a draw, here: it moves a rate by less than 0.003 points, and intervals are points wide."""
TABLE = 2**17
CONCENTRATION = 0.3
CORRELATION = 0.5
SEED_EFFECT = 0.1
MODELS = {
    0.02: "oasst-sft-pythia-12b",
    0.1: "gpt-3.5-turbo-1106",
    0.5: "FuseChat-Qwen-2.5-7B-Instruct",
    0.95: "vicuna-7b-v1.5",
}
"""Real rows with about that win rate (1.8, 9.2, 64.6); the last one (4.8) with its two sides exchanged."""


@dataclass(frozen=True)
class Cell:
    """One cell of the grid, as it is written down."""

    section: str
    n: int
    rate: float
    verdicts: str
    ties: str
    other: str = ""

    def generator(self) -> np.random.Generator:
        """Each cell has its own numbers, whatever else is run."""
        return np.random.default_rng(zlib.crc32(repr(self).encode()))


def main() -> None:
    """Run the named sections, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    parser.add_argument("--missing", action="store_true", help="only the cells that the result file does not have")
    arguments = parser.parse_args()
    if unknown := {*arguments.sections} - {*SECTIONS}:
        parser.error(f"there is no section {unknown.pop()}")
    for section in arguments.sections or SECTIONS:
        for cell in grid(section):
            if not (arguments.missing and position(cell, known().get(section, [])) is not None):
                row = run(cell, arguments.simulations)
                if arguments.simulations == SIMULATIONS:
                    record(cell, row)


def grid(section: str) -> Iterator[Cell]:
    """The cells of a section."""
    sizes = (805,) if section == "alpaca_fit" else SIZES
    others = ("equal", "apart") if section == "difference" else ("",)
    for n, rate, (verdicts, ties), other in itertools.product(sizes, RATES, KINDS, others):
        yield Cell(section, n, rate, verdicts, ties, other)


def run(cell: Cell, simulations: int) -> dict[str, Any]:
    """Simulate one cell: its coverage, how often there was no interval, and the mean width in points."""
    found = list(SECTIONS[cell.section](cell, simulations))
    made = np.array([one for one in found if one is not None], dtype=float).reshape(-1, 3)
    low, high, truth = made.T
    covered = (low - 1e-9 <= truth) & (truth <= high + 1e-9)
    row = {
        **described(cell),
        "coverage": round(float(covered.mean()), 4) if len(made) else None,
        "below": round(float((truth > high + 1e-9).mean()), 4) if len(made) else None,
        "above": round(float((truth < low - 1e-9).mean()), 4) if len(made) else None,
        "no_interval": len(found) - len(made),
        "width": round(float((high - low).mean()), 3) if len(made) else None,
    }
    print(cell.section, row, flush=True)
    return row


@lru_cache(maxsize=8)
def quantiles(rate: float, verdicts: str, ties: str) -> Array:
    """Sorted outcomes with mean ``rate`` (to the table's fineness): a latent uniform picks one."""
    share = min(0.2, rate, 1 - rate) if ties == "with ties" else 0.0
    n_ties = round(share * TABLE)
    rest = (rate - share / 2) / (1 - share)
    generator = np.random.default_rng(1)
    if verdicts == "binary":
        others = (np.arange(TABLE - n_ties) >= (1 - rest) * (TABLE - n_ties)).astype(float)
    else:
        others = generator.beta(CONCENTRATION * rest, CONCENTRATION * (1 - rest), TABLE - n_ties)
    found: Array = np.sort(np.r_[others, np.full(n_ties, 0.5)])
    return found


def picked(table: Array, latent: Array) -> Array:
    """Outcomes of standard normal ``latent`` values."""
    values: Array = table[np.minimum((ndtr(latent) * len(table)).astype(int), len(table) - 1)]
    return values


def win_rate(cell: Cell, simulations: int) -> Iterator[Covered | None]:
    """Independent instructions."""
    table, generator = quantiles(cell.rate, cell.verdicts, cell.ties), cell.generator()
    for _ in range(simulations):
        found = rate_interval(picked(table, generator.standard_normal(cell.n)))
        yield None if found.low is None or found.high is None else (found.low, found.high, 100 * float(table.mean()))


def difference(cell: Cell, simulations: int) -> Iterator[Covered | None]:
    """Two rows on the same instructions."""
    generator = cell.generator()
    other = cell.rate if cell.other == "equal" else 0.8 * cell.rate + 0.1
    tables = [quantiles(rate, cell.verdicts, cell.ties) for rate in (other, cell.rate)]
    truth = 100 * float(tables[0].mean() - tables[1].mean())
    for _ in range(simulations):
        shared = np.sqrt(CORRELATION) * generator.standard_normal(cell.n)
        own = np.sqrt(1 - CORRELATION) * generator.standard_normal((2, cell.n))
        one, two = (picked(table, shared + noise) for table, noise in zip(tables, own, strict=True))
        found = difference_interval(one - two)
        yield None if found.low is None or found.high is None else (found.low, found.high, truth)


def three_seeds(cell: Cell, simulations: int) -> Iterator[Covered | None]:
    """Three checkpoints on the same instructions; the truth is over new seeds and new instructions."""
    table, generator = quantiles(cell.rate, cell.verdicts, cell.ties), cell.generator()
    seed, shared = SEED_EFFECT**2, CORRELATION
    for _ in range(simulations):
        latent = np.sqrt(shared) * generator.standard_normal(cell.n) + np.sqrt(seed) * generator.standard_normal((3, 1))
        latent = latent + np.sqrt(1 - shared - seed) * generator.standard_normal((3, cell.n))
        values = picked(table, latent)
        if np.ptp(values) == 0:
            yield None
            continue
        found = crossed_mean(values)
        yield 100 * found.low, 100 * found.high, 100 * float(table.mean())


@lru_cache(maxsize=4)
def population(rate: float, verdicts: str, ties: str) -> tuple[Array, Array, Array]:
    """(preference, length difference, instruction) of a real model's rows, (805,) each."""
    import pandas as pd

    rows = pd.read_parquet(SHARED / "annotations.parquet").query("model == @MODELS[@rate]")
    preference = rows["preference"].to_numpy(float) - 1
    delta = (rows["len_baseline"] - rows["len_model"]).to_numpy(float)
    if rate == 0.95:
        preference, delta = 1 - preference, -delta
    if verdicts == "binary":
        preference = (preference > 0.5).astype(float)
    if ties == "with ties":
        # of rows that fit the rate: a tie in place of a win and of a loss alike
        generator = np.random.default_rng(2)
        sides = [np.flatnonzero(preference > 0.5), np.flatnonzero(preference <= 0.5)]
        n_ties = min(80, *(len(side) // 2 for side in sides))
        for side in sides:
            preference[generator.choice(side, n_ties, replace=False)] = 0.5
    return preference, delta, rows["idx"].to_numpy()


def own_length_control(cell: Cell, simulations: int) -> Iterator[Covered | None]:
    """Our own fit on resampled rows of a real model."""
    preference, delta, _ = population(cell.rate, cell.verdicts, cell.ties)
    _, intercept = length_control.fit(preference, delta, np.full((1, len(delta)), cell.n / len(delta)))
    truth, generator = 100 / (1 + float(np.exp(-intercept[0]))), cell.generator()
    for _ in range(simulations):
        drawn = generator.integers(len(delta), size=cell.n)
        found = length_control.length_controlled(preference[drawn], -delta[drawn], np.zeros(cell.n), draws=FIT_DRAWS)
        yield None if found.low is None or found.high is None else (found.low, found.high, truth)


@lru_cache(maxsize=1)
def alpaca_files() -> tuple[Array, Gamed]:
    """(difficulty (805,), the gamed rows)."""
    import pandas as pd

    frame = pd.read_csv(SHARED / "df_gamed_reconstructed.csv")
    gamed = Gamed(*(frame[name].to_numpy() for name in ("preference", "std_delta_len", "instruction_difficulty")))
    difficulty = pd.read_csv(SHARED / "instruction_difficulty.csv", index_col=0).squeeze().to_numpy()
    return difficulty, gamed


def alpaca_fit(cell: Cell, simulations: int) -> Iterator[Covered | None]:
    """AlpacaEval's fit on resampled rows of a real model, C as chosen on the real rows."""
    alpaca_lc_bootstrap.CONVERGED = FIT_TOLERANCE
    preference, delta, index = population(cell.rate, cell.verdicts, cell.ties)
    difficulty, gamed = alpaca_files()
    zeros = np.zeros(len(delta))
    whole = alpaca_lc.alpaca_length_controlled(preference, -delta, zeros, index, difficulty, gamed)
    truth = alpaca_rates(whole, preference, delta, difficulty[index], gamed, np.ones((1, len(delta))))[0]
    generator = cell.generator()
    for _ in range(simulations):
        drawn = generator.integers(len(delta), size=cell.n)
        weights = bootstrap.weights(cell.n, FIT_DRAWS, 0)
        rates = alpaca_rates(whole, preference[drawn], delta[drawn], difficulty[index[drawn]], gamed, weights)
        yield *bootstrap.percentile_interval(rates), float(truth)


def alpaca_rates(
    fit: AlpacaLc, preference: Array, delta: Array, difficulty: Array, gamed: Gamed, weights: Array
) -> Array:
    """LC of each draw, 0 to 100, as `alpaca_lc_bootstrap.interval` has it."""
    coefficients = alpaca_lc_bootstrap.refits(fit, preference, delta, difficulty, gamed, weights)
    predicted = 1 / (1 + np.exp(-(np.outer(coefficients[:, 1], difficulty) + coefficients[:, 2:])))
    rates: Array = 100 * (weights * predicted).sum(1) / weights.sum(1)
    return rates


SECTIONS: dict[str, Callable[[Cell, int], Iterator[Covered | None]]] = {
    "win_rate": win_rate,
    "difference": difference,
    "three_seeds": three_seeds,
    "length_control": own_length_control,
    "alpaca_fit": alpaca_fit,
}


def known() -> dict[str, Any]:
    """The result file as it is."""
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    return found


def position(cell: Cell, rows: list[dict[str, Any]]) -> int | None:
    """Where a section has this cell."""
    keys = described(cell)
    return next((place for place, row in enumerate(rows) if keys.items() <= row.items()), None)


def described(cell: Cell) -> dict[str, Any]:
    """A cell's coordinates, as they are written down."""
    return {key: value for key, value in cell.__dict__.items() if value != "" and key != "section"}


def record(cell: Cell, row: dict[str, Any]) -> None:
    """Put a cell into the result file."""
    found = known()
    found |= {
        "nominal": 0.95,
        "simulations_per_cell": SIMULATIONS,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    rows = found.setdefault(cell.section, [])
    place = position(cell, rows)
    if place is None:
        rows.append(row)
    else:
        rows[place] = row
    RESULT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
