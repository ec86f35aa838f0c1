"""Bradley-Terry: against the closed form, a library's fit, published rates; style control on a real run."""

import json
import warnings

import numpy as np
import pytest
from scipy.special import expit

from harness.protocols import arena_hard
from harness.stats import bradley_terry, style
from harness.stats.bradley_terry import Battles


def simulated(strengths, n_questions=200, seed=0, **more):
    """Every pair of models on every question, with ties."""
    generator = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(len(strengths)) for b in range(a + 1, len(strengths))]
    a, b = (np.tile([pair[side] for pair in pairs], n_questions) for side in (0, 1))
    question = np.repeat(np.arange(n_questions), len(pairs))
    chance = expit(np.array(strengths)[a] - np.array(strengths)[b])
    outcome = np.where(generator.random(len(a)) < 0.15, 0.5, (generator.random(len(a)) < chance).astype(float))
    names = [f"m{k}" for k in range(len(strengths))]
    return Battles(names, a, b, outcome, np.ones(len(a)), question, **more)


def library(battles, extra=None):
    """Unpenalised coefficients of scikit-learn, model 0 as the anchor."""
    from sklearn.linear_model import LogisticRegression

    n = len(battles.models)
    x = np.zeros((len(battles.a), n))
    x[np.arange(len(x)), battles.a] += 1
    x[np.arange(len(x)), battles.b] -= 1
    x = x[:, 1:] if extra is None else np.column_stack([x[:, 1:], extra])
    both = np.r_[battles.outcome * battles.weight, (1 - battles.outcome) * battles.weight]
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(np.r_[x, x], np.repeat([1, 0], len(x)), sample_weight=both)
    return model.coef_[0]


def test_strengths_of_many_models_are_a_librarys():
    battles = simulated([0.0, 0.4, -1.0, 1.5])
    found = bradley_terry.fit(battles, "m0", draws=20)
    assert [found.strength[f"m{k}"] for k in (1, 2, 3)] == pytest.approx(library(battles), abs=1e-3)
    assert found.strength["m0"] == 0
    assert found.win_rate["m0"] == found.low["m0"] == 50


def test_another_anchor_shifts_all_strengths_alike():
    battles = simulated([0.0, 0.4, -1.0])
    one, other = (bradley_terry.fit(battles, anchor, draws=20).strength for anchor in ("m0", "m2"))
    shifts = [one[name] - other[name] for name in battles.models]
    assert max(shifts) - min(shifts) < 1e-3


def test_covariates_are_a_librarys_and_take_what_style_explains():
    plain = simulated([0.0, 0.5, -0.5], seed=3)
    generator = np.random.default_rng(4)
    x = generator.standard_normal((len(plain.a), 2))
    chance = expit(np.array([0.0, 0.5, -0.5])[plain.a] - np.array([0.0, 0.5, -0.5])[plain.b] + x @ [1.0, 0.0])
    outcome = (generator.random(len(chance)) < chance).astype(float)
    battles = Battles(plain.models, plain.a, plain.b, outcome, plain.weight, plain.question, x)
    found = bradley_terry.fit(battles, "m0", draws=20)
    expected = library(battles, x)
    assert [found.strength["m1"], found.strength["m2"], *found.covariates] == pytest.approx(expected, abs=2e-3)
    assert found.covariates[0] == pytest.approx(1, abs=0.3)


def arena(shared_data):
    lines = (shared_data / "arena_hard/kt_battles.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    models = sorted({row[side] for row in rows for side in ("model_a", "model_b")})
    a, b = (np.array([models.index(row[side]) for row in rows]) for side in ("model_b", "model_a"))
    outcome = np.array([arena_hard.PREFERENCES[row["winner"]] for row in rows])
    question = np.array([row["question_id"] for row in rows])
    return Battles(models, a, b, outcome, np.ones(len(rows)), question)


def test_arena_hards_published_rates_by_fit_with_intervals_over_questions(shared_data):
    found = bradley_terry.fit(arena(shared_data), "gpt-4-0314", draws=1000)
    assert found.n_questions == 500
    for model, rate, low, high in (("gpt-3.5-turbo-0125", 23.34, 20.1, 26.8), ("gpt-4-0613", 37.90, 34.0, 41.9)):
        assert found.win_rate[model] == pytest.approx(rate, abs=0.005)
        assert (found.low[model], found.high[model]) == pytest.approx((low, high), abs=0.3)


def test_weights_are_copies_and_copies_of_a_question_add_no_knowledge():
    battles = simulated([0.0, 0.8], n_questions=60)
    double = Battles(battles.models, battles.a, battles.b, battles.outcome, 2 * battles.weight, battles.question)
    copied = Battles(
        battles.models,
        *(np.tile(column, 2) for column in (battles.a, battles.b, battles.outcome, battles.weight, battles.question)),
    )
    one, two, three = (bradley_terry.fit(each, "m0", draws=200) for each in (battles, double, copied))
    assert two == three
    assert (two.low["m1"], two.high["m1"]) == pytest.approx((one.low["m1"], one.high["m1"]), abs=1e-3)


def test_a_model_that_won_everything_stays_finite_and_unjoined_models_are_refused():
    battles = simulated([0.0, 0.2], n_questions=30)
    won = Battles(battles.models, battles.a, battles.b, np.zeros(30), battles.weight, battles.question)
    found = bradley_terry.fit(won, "m0", draws=20)
    assert 99 < found.win_rate["m1"] < 100
    assert np.isfinite(found.strength["m1"])
    apart = Battles(
        [*battles.models, "m2", "m3"],
        np.r_[battles.a, 2],
        np.r_[battles.b, 3],
        *(np.r_[column, column[:1]] for column in (battles.outcome, battles.weight, battles.question)),
    )
    with pytest.raises(ValueError, match="joins m2, m3 to m0"):
        bradley_terry.fit(apart, "m0")
    with pytest.raises(ValueError, match="no battle of x"):
        bradley_terry.fit(battles, "x")


def test_style_counts_markdown_outside_code():
    text = "# Title\n\n- one\n* two\n 3. three\n**bold** and __bold__\n```\n# no\n- no\n**no**\n```\n"
    found = style.style(text)
    assert (found.headers, found.lists, found.bold, found.tokens) == (1, 3, 2, len(text.split()))
    assert style.style(text, tokens=7).tokens == 7


def test_style_covariates_are_the_published_formula_z_scored():
    long = [style.Style(100, 2, 4, 0), style.Style(50, 0, 0, 0), style.Style(30, 0, 1, 0)]
    short = [style.Style(50, 0, 1, 0), style.Style(50, 0, 0, 0), style.Style(60, 0, 0, 0)]
    found = style.covariates(long, short)
    raw = np.array([50 / 150, 0, -30 / 90])
    assert found[:, 0] == pytest.approx((raw - raw.mean()) / raw.std(ddof=1))
    lists = np.array([(0.04 - 0.02) / 1.06, 0, (1 / 30) / (1 + 1 / 30)])
    assert found[:, 2] == pytest.approx((lists - lists.mean()) / lists.std(ddof=1))
    assert (found[:, 3] == 0).all()
    assert style.covariates(short, long)[:, 0] == pytest.approx(-found[:, 0])


def test_style_control_of_the_mini_run_changes_the_rates_and_agrees_with_a_library(shared_data):
    folder = shared_data / "arena_hard/mini_run"
    answers = {}
    for path in (folder / "model_answer").glob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            (turn,) = record["choices"][0]["turns"]
            answers[record["model_id"], record["question_id"]] = style.style(turn["content"], turn["token_len"])
    rows = []
    for path in sorted((folder / "model_judgment").rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            for game, one in enumerate(record["games"], 1):
                found = arena_hard.outcome(arena_hard.parse_v01(one["judgment"]), game)
                rows.append((record["model"], record["question_id"], found.preference, found.weight))
    rows = [row for row in rows if row[0] != "truth_model"]  # the baseline against itself
    models = ["truth_model", *sorted({row[0] for row in rows})]
    x = style.covariates(
        [answers[model, question] for model, question, *_ in rows],
        [answers["truth_model", question] for _, question, *_ in rows],
    )
    battles = Battles(
        models,
        np.array([models.index(row[0]) for row in rows]),
        np.zeros(len(rows), int),
        np.array([row[2] for row in rows]),
        np.array([float(row[3]) for row in rows]),
        np.array([row[1] for row in rows]),
        x,
    )
    controlled = bradley_terry.fit(battles, "truth_model", draws=100)
    plain = bradley_terry.fit(
        Battles(models, battles.a, battles.b, battles.outcome, battles.weight, battles.question), "truth_model", draws=5
    )
    expected = library(battles, x)
    assert [controlled.strength[name] for name in models[1:]] == pytest.approx(expected[:5], abs=0.02)
    assert controlled.covariates == pytest.approx(expected[5:], abs=0.02)
    moved = [abs(controlled.win_rate[name] - plain.win_rate[name]) for name in models[1:]]
    assert max(moved) > 1
    assert all(controlled.low[n] < controlled.win_rate[n] < controlled.high[n] for n in models[1:])
