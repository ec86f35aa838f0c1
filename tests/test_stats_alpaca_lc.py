"""AlpacaEval's length-controlled win rate against the published leaderboard, and the two joins."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from harness.stats import alpaca_lc_bootstrap, bootstrap
from harness.stats.alpaca_lc import STRENGTHS, Gamed, alpaca_length_controlled, from_weights

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "alpaca_eval"
# most of the 29 fits take 0.1 s; these include two with absent rows, one soft, one extreme
QUICK = ("gemma-7b-it", "minotaur-13b", "text_davinci_001", "NullModel", "claude-2.1", "vicuna-7b")


@pytest.fixture(scope="module")
def published():
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is missing")
    import pandas as pd

    frame = pd.read_csv(SHARED / "df_gamed_reconstructed.csv")
    columns = ("preference", "std_delta_len", "instruction_difficulty")
    return {
        "board": pd.read_csv(SHARED / "leaderboard.csv", index_col=0),
        "rows": dict(iter(pd.read_parquet(SHARED / "annotations.parquet").groupby("model"))),
        "difficulty": pd.read_csv(SHARED / "instruction_difficulty.csv", index_col=0).squeeze().to_numpy(),
        "gamed": Gamed(*(frame[column].to_numpy() for column in columns)),
        "weights": pd.read_csv(SHARED / "glm_weights.csv", index_col=0),
    }


def fitted(published, model, **settings):
    rows = published["rows"][model]
    columns = (rows[column].to_numpy() for column in ("len_model", "len_baseline", "idx"))
    preference = rows["preference"].to_numpy(float) - 1
    return alpaca_length_controlled(preference, *columns, published["difficulty"], published["gamed"], **settings)


def test_published_weights_give_the_published_rates_of_197_of_199_models(published):
    board, difficulty = published["board"], published["difficulty"]
    models = [model for model in published["weights"].index if model in board.index]
    over_all, over_first, neither = [], [], []
    for model in models:
        coefficients = tuple(published["weights"].loc[model])
        expected, n = board.loc[model, "length_controlled_winrate"], int(board.loc[model, "n_total"])
        if abs(from_weights(coefficients, difficulty) - expected) < 1e-6:
            over_all.append(model)
        elif abs(from_weights(coefficients, difficulty[:n]) - expected) < 1e-6:
            over_first.append(model)
        else:
            neither.append(model)
    assert (len(over_all), len(over_first), len(models)) == (189, 8, 199)
    assert sorted(neither) == ["NullModel", "dbrx-instruct"]


@pytest.mark.parametrize("model", QUICK)
def test_a_refit_gives_the_published_rate(published, model):
    found = fitted(published, model, join="official")
    assert found.win_rate == pytest.approx(published["board"].loc[model, "length_controlled_winrate"], abs=0.002)


def test_refits_of_all_29_models_are_near_and_exact_at_the_published_strength(published):
    off, at_best = [], []
    for model in published["rows"]:
        expected = published["board"].loc[model, "length_controlled_winrate"]
        off.append(abs(fitted(published, model, join="official").win_rate - expected))
        fixed = (fitted(published, model, join="official", strength=float(c)) for c in STRENGTHS)
        at_best.append(min(abs(fit.win_rate - expected) for fit in fixed))
    assert len(off) == 29
    assert max(off) < 0.16
    assert sum(value < 0.002 for value in off) >= 15
    assert max(at_best) < 0.0017 + 1e-4


@pytest.mark.parametrize(("model", "shift"), [("text_davinci_001", 2.55), ("minotaur-13b", 2.36)])
def test_an_absent_row_shifts_the_official_join_and_not_the_corrected_one(published, model, shift):
    official, corrected = fitted(published, model, join="official"), fitted(published, model)
    assert official.win_rate - corrected.win_rate == pytest.approx(shift, abs=0.01)
    assert (official.join, corrected.join) == ("official", "corrected")


def test_without_an_absent_row_both_joins_agree(published):
    assert fitted(published, "phi-2-sft", join="official").win_rate == fitted(published, "phi-2-sft").win_rate


def test_a_missing_verdict_keeps_its_row_in_the_official_join_only(published):
    rows = published["rows"]["phi-2-sft"].copy()
    rows.loc[rows.index[100], "preference"] = np.nan
    changed = published | {"rows": {"phi-2-sft": rows}}
    official, corrected = (fitted(changed, "phi-2-sft", join=join) for join in ("official", "corrected"))
    assert official.coefficients == corrected.coefficients
    assert official.win_rate != corrected.win_rate
    assert official.win_rate == pytest.approx(corrected.win_rate, abs=0.02)


def test_our_fold_losses_choose_the_strength_that_the_published_code_chooses(published):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, and its use of options that are going away
        glm = pytest.importorskip("alpaca_eval.metrics.glm_winrate", reason="alpaca-eval is not installed")
        import pandas as pd
        import sklearn

        before = sklearn.get_config()["enable_metadata_routing"]
        ours = fitted(published, "phi-2-sft", join="official")
        rows, gamed = published["rows"]["phi-2-sft"], published["gamed"]
        delta = (rows["len_baseline"] - rows["len_model"]).to_numpy(float)
        table = pd.DataFrame(
            {
                "length": np.tanh(np.r_[gamed.scaled_delta, delta / delta.std(ddof=1)]),
                "difficulty": np.r_[gamed.difficulty, published["difficulty"]],
                "constant": np.r_[np.zeros(1610), np.ones(805)],
                "preference": np.r_[gamed.preference, rows["preference"] - 1],
            }
        )
        weight = pd.Series(np.r_[np.full(1610, 0.1), np.ones(805)])
        try:
            theirs = glm.fit_LogisticRegressionCV(
                table, "preference", is_ytrue_proba=True, sample_weight=weight, n_splits=5
            )
        finally:
            sklearn.set_config(enable_metadata_routing=before)
    assert ours.strength == pytest.approx(float(np.ravel(theirs.C_)[0]))
    assert ours.coefficients == pytest.approx(theirs.coef_[0], abs=1e-6)


def arguments(published, model):
    rows = published["rows"][model]
    columns = (rows[column].to_numpy() for column in ("len_model", "len_baseline", "idx"))
    return (rows["preference"].to_numpy(float) - 1, *columns, published["difficulty"], published["gamed"])


def converged(fit, preference, delta, difficulty, gamed, draw):
    """A library's coefficients on one resample, at a tolerance where its solver has converged."""
    from sklearn.linear_model import LogisticRegression

    chosen = np.repeat(np.arange(len(delta)), draw.astype(int))
    length = np.tanh(delta[chosen] / delta[chosen].std(ddof=1))
    model = np.column_stack([length, difficulty[chosen], np.ones(len(chosen))])
    anchors = np.column_stack([np.tanh(gamed.scaled_delta), gamed.difficulty, np.zeros(1610)])
    features, wins = np.r_[anchors, model], np.r_[gamed.preference, preference[chosen]]
    weight = np.r_[np.full(1610, 0.1), np.ones(len(chosen))]
    library = LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=fit.strength, fit_intercept=False, tol=1e-9, max_iter=100_000
    )
    both = np.r_[wins * weight, (1 - wins) * weight]
    library.fit(np.r_[features, features], np.repeat([1, 0], len(features)), sample_weight=both)
    return library.coef_[0], chosen


@pytest.mark.parametrize("model", ["claude-2.1", "text_davinci_001", "NullModel"])
def test_each_draw_is_a_converged_librarys_fit_of_its_resample(published, model):
    preference, len_model, len_baseline, idx, difficulty, gamed = arguments(published, model)
    fit, delta = fitted(published, model), (len_baseline - len_model).astype(float)
    draws = bootstrap.weights(len(idx), 3, seed=7)
    ours = alpaca_lc_bootstrap.refits(fit, preference, delta, difficulty[idx], gamed, draws)
    for draw, coefficients in zip(draws, ours, strict=True):
        theirs, chosen = converged(fit, preference, delta, difficulty[idx], gamed, draw)
        rates = [from_weights(tuple(b), difficulty[idx][chosen]) for b in (coefficients, theirs)]
        assert rates[0] == pytest.approx(rates[1], abs=1e-3)


@pytest.mark.parametrize("strength", [0.002, 0.0045, 0.0055])
def test_a_penalty_that_sets_coefficients_to_zero_is_exact(published, strength):
    preference, len_model, len_baseline, idx, difficulty, gamed = arguments(published, "claude-2.1")
    fit, delta = fitted(published, "claude-2.1", strength=strength), (len_baseline - len_model).astype(float)
    draws = bootstrap.weights(len(idx), 2, seed=8)
    ours = alpaca_lc_bootstrap.refits(fit, preference, delta, difficulty[idx], gamed, draws)
    assert (ours == 0).any()
    for draw, coefficients in zip(draws, ours, strict=True):
        theirs, _ = converged(fit, preference, delta, difficulty[idx], gamed, draw)
        assert coefficients == pytest.approx(theirs, abs=1e-4)


def test_the_interval_contains_the_estimate_is_seeded_and_wider_than_the_published_spread(published):
    fit = fitted(published, "phi-2-sft")
    low, high = alpaca_lc_bootstrap.interval(fit, *arguments(published, "phi-2-sft"), draws=300, seed=1)
    assert low < fit.win_rate < high
    assert high - low > 1.5 * 2 * 1.96 * fit.spread
    again = alpaca_lc_bootstrap.interval(fit, *arguments(published, "phi-2-sft"), draws=300, seed=1)
    assert (low, high) == again


def test_equal_lengths_are_refused():
    gamed = Gamed(np.full(4, 0.5), np.arange(4.0), np.zeros(4))
    with pytest.raises(ValueError, match="does not vary"):
        alpaca_length_controlled(np.ones(3), np.full(3, 9), np.full(3, 8), np.arange(3), np.zeros(3), gamed)
