"""Speed of the statistics beside alpaca-eval's own functions, in the same run on the same rows.

    OMP_NUM_THREADS=1 python benchmarks/stats.py [--models 29] [--copies 200] [--draws 1000]

Needs alpaca-eval and the folder of public artefacts. Each pair (theirs, ours) is timed one after the other in this
process with one thread; the bootstrap of ``--copies`` models runs in two processes, one thread each. Results go to
``benchmarks/results/stats.json``. About three minutes on two quiet cores.

- win_rate: `alpaca_eval.metrics.get_winrate` against the same figures of ours, without an interval.
- length_controlled: `get_length_controlled_winrate` (its files from disk, not the hub) against our fit, both with the
  choice of C.
- bootstrap_draw: their solver at that C on one resample of the rows against one draw of our bootstrap (of 1,000).
- bootstrap: all models, ``--draws`` draws each, two cores; the models are taken again until there are enough.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness.stats import alpaca_lc, alpaca_lc_bootstrap, bootstrap
from harness.stats.alpaca_lc import Gamed
from harness.stats.win_rate import win_rate

Array = np.ndarray
Model = tuple[str, tuple[Any, ...]]
"""A name, and the arguments of `alpaca_length_controlled`."""

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "stats.json"
SHARED = ROOT.parent / "shared" / "data" / "alpaca_eval"
GAMED = SHARED / "df_gamed_reconstructed.csv"
LIBRARY_DRAWS = 5
CORES = 2


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=29)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    models = load(arguments.models)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of alpaca-eval's dependencies
        measured = {
            "win_rate": win_rates(models),
            "length_controlled": fits(models),
            "bootstrap_draw": single_draws(models, arguments.draws),
            "bootstrap": whole_bootstrap(models, arguments.copies, arguments.draws),
        }
    report = {"machine": machine(), "versions": versions(), "models": len(models), **measured}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def load(n_models: int) -> list[Model]:
    """Models of the artefacts that have all 805 rows first."""
    import pandas as pd

    frame = pd.read_csv(GAMED)
    gamed = Gamed(*(frame[key].to_numpy() for key in ("preference", "std_delta_len", "instruction_difficulty")))
    difficulty = pd.read_csv(SHARED / "instruction_difficulty.csv", index_col=0).squeeze().to_numpy()
    groups = pd.read_parquet(SHARED / "annotations.parquet").groupby("model")
    found = []
    for name, rows in sorted(groups, key=lambda group: -len(group[1])):
        lengths = (rows[key].to_numpy(float) for key in ("len_model", "len_baseline"))
        preference = rows["preference"].to_numpy(float) - 1
        found.append((str(name), (preference, *lengths, rows["idx"].to_numpy(), difficulty, gamed)))
    return found[:n_models]


def timed(function: Callable[..., Any], *arguments: Any, **settings: Any) -> tuple[float, Any]:
    """Seconds of one call, and its answer."""
    begin = time.perf_counter()
    answer = function(*arguments, **settings)
    return time.perf_counter() - begin, answer


def compared(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """Medians in milliseconds, and how many times as long theirs take."""
    a, b = 1000 * float(np.median(theirs)), 1000 * float(np.median(ours))
    return {"theirs_ms": round(a, 3), "ours_ms": round(b, 3), "ratio": round(a / b, 2)}


def annotations(model: Model) -> Any:
    """A model's rows as alpaca-eval has them; texts of the right lengths."""
    import pandas as pd

    name, (preference, len_model, len_baseline, *_) = model
    return pd.DataFrame(
        {
            "output_1": ["x" * int(n) for n in len_baseline],
            "output_2": ["x" * int(n) for n in len_model],
            "generator_1": "gpt4_1106_preview",
            "generator_2": name,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": preference + 1,
        }
    )


def win_rates(models: list[Model]) -> dict[str, float]:
    """Their win rate and counts against ours."""
    from alpaca_eval.metrics import get_winrate

    tables = [annotations(model) for model in models]
    get_winrate(tables[0])
    theirs = [timed(get_winrate, table)[0] for table in tables]
    ours = [timed(win_rate, arguments[0])[0] for _, arguments in models]
    return compared(theirs, ours)


def fits(models: list[Model]) -> dict[str, Any]:
    """Their length-controlled win rate against ours, and how far apart the two answers are."""
    from alpaca_eval.metrics import glm_winrate

    glm_winrate.hf_hub_download = lambda **_: str(GAMED)
    settings = {
        "save_weights_dir": None,
        "is_add_glm_preference_inplace": False,
        "is_warn_extreme_changes": False,
    }
    theirs = [timed(glm_winrate.get_length_controlled_winrate, annotations(model), **settings) for model in models]
    ours = [timed(alpaca_lc.alpaca_length_controlled, *arguments, join="official") for _, arguments in models]
    apart = max(
        abs(float(a["length_controlled_winrate"]) - b.win_rate) for (_, a), (_, b) in zip(theirs, ours, strict=True)
    )
    times = compared([seconds for seconds, _ in theirs], [seconds for seconds, _ in ours])
    return times | {"largest_difference_points": apart}


def single_draws(models: list[Model], draws: int) -> dict[str, float]:
    """Their solver on one resample against one of our draws, of a whole bootstrap."""
    theirs, ours = [], []
    for _, arguments in models[:5]:
        fitted = alpaca_lc.alpaca_length_controlled(*arguments)
        for weights in bootstrap.weights(len(arguments[0]), LIBRARY_DRAWS, 1):
            theirs.append(timed(library_fit, weights, fitted.strength, *arguments)[0])
        ours.append(timed(alpaca_lc_bootstrap.interval, fitted, *arguments, draws=draws)[0] / draws)
    return compared(theirs, ours)


def library_fit(
    weights: Array,
    strength: float,
    preference: Array,
    len_model: Array,
    len_baseline: Array,
    instruction: Array,
    difficulty: Array,
    gamed: Gamed,
) -> None:
    """The published solver at its published tolerance on the rows drawn."""
    from sklearn.linear_model import LogisticRegression

    drawn = np.repeat(np.arange(len(preference)), weights.astype(int))
    delta = (len_baseline - len_model)[drawn]
    own = np.column_stack([np.tanh(delta / delta.std(ddof=1)), difficulty[instruction[drawn]], np.ones(len(drawn))])
    anchors = np.column_stack([np.tanh(gamed.scaled_delta), gamed.difficulty, np.zeros(len(gamed.preference))])
    features, wins = np.r_[anchors, own], np.r_[gamed.preference, preference[drawn]]
    weight = np.r_[np.full(len(anchors), 0.1), np.ones(len(own))]
    model = LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=strength, fit_intercept=False, tol=1e-4, random_state=123
    )
    labels = np.repeat([1, 0], len(features))
    model.fit(np.r_[features, features], labels, sample_weight=np.r_[wins * weight, (1 - wins) * weight])


def whole_bootstrap(models: list[Model], copies: int, draws: int) -> dict[str, Any]:
    """Seconds of the bootstrap of ``copies`` models on two cores, their fits made before."""
    fitted = {name: alpaca_lc.alpaca_length_controlled(*arguments) for name, arguments in models}
    jobs = [(fitted[name], arguments, draws, k) for k in range(copies) for name, arguments in [models[k % len(models)]]]
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        seconds, _ = timed(pool.map, one_interval, jobs, chunksize=4)
    return {"models": copies, "draws": draws, "processes": CORES, "seconds": round(seconds, 2), "limit_seconds": 60}


def one_interval(job: tuple[Any, ...]) -> tuple[float, float]:
    """A model's interval, in a worker."""
    fitted, arguments, draws, seed = job
    return alpaca_lc_bootstrap.interval(fitted, *arguments, draws=draws, seed=seed)


def machine() -> dict[str, Any]:
    """Where it ran."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].split(":", 1)[1].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Of what was measured."""
    names = ("alpaca-eval", "numpy", "scipy", "scikit-learn", "pandas")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


if __name__ == "__main__":
    main()
