"""Estimates of analyses against other people's code and against data made to a known answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.analysis import agreement, drift, rewards, separation, summaries, trajectories

RANDOM = np.random.default_rng(0)


def line(value: list[float], logprob: list[float], lse0: list[float] | None = None) -> dict[str, Any]:
    """A line of values.jsonl with T = len(logprob) tokens."""
    return {
        "id": "x",
        "value": value,
        "logprob": logprob,
        "reference_logprob": [0.0] * len(logprob),
        "logsumexp": value,
        "reference_logsumexp": lse0 or [0.0] * len(value),
    }


def test_the_standard_error_is_that_of_independent_values_and_grows_with_clusters_of_equal_ones() -> None:
    values = RANDOM.normal(size=40)
    plain = summaries.mean(values)
    assert plain["standard_error"] == pytest.approx(values.std(ddof=1) / np.sqrt(40))
    repeated = summaries.mean(np.repeat(values, 5), np.repeat(np.arange(40), 5))
    assert repeated["standard_error"] == pytest.approx(plain["standard_error"])
    assert (repeated["low"], repeated["high"]) == pytest.approx((plain["low"], plain["high"]))


def test_the_clustered_interval_of_drift_covers_the_truth_as_often_as_it_says() -> None:
    covered, errors = 0, []
    for seed in range(200):
        random = np.random.default_rng(seed)
        prompts = np.repeat(np.arange(30), 4)
        values = 2 + random.normal(size=30)[prompts] + random.normal(size=120)
        lines = [
            {"id": str(p), "tokens": 5, "ended": True, "kl": v, "plain": v, "non_negative": v}
            for p, v in zip(prompts, values, strict=True)
        ]
        found = drift.estimates(lines)["kl"] if seed < 5 else summaries.mean(values, prompts)
        covered += found["low"] <= 2 <= found["high"]
        errors.append(found["standard_error"])
    assert 0.89 <= covered / 200 <= 0.98
    assert np.mean(errors) == pytest.approx(np.sqrt(1.25 / 30), rel=0.05)


def test_drift_per_token_is_a_ratio_of_sums_and_a_capped_share_is_counted() -> None:
    lines = [
        {"id": name, "tokens": tokens, "ended": ended, "kl": kl, "plain": kl, "non_negative": kl}
        for name, tokens, ended, kl in (("a", 10, True, 1.0), ("a", 2, False, 3.0), ("b", 4, True, 4.0))
    ]
    found = drift.estimates(lines)
    assert found["kl_per_token"]["estimate"] == pytest.approx(8 / 16)
    assert found["kl"]["estimate"] == pytest.approx(8 / 3)
    assert found["capped"] == pytest.approx(100 / 3)
    assert found["prompts"] == found["kl"]["clusters"] == 2


def test_reward_figures_follow_from_the_pairs() -> None:
    def side(reward: float, logprob: float, tokens: int) -> dict[str, Any]:
        return {"reward": reward, "logprob": logprob, "reference_logprob": -logprob, "tokens": tokens}

    lines = [
        {"id": "a", "chosen": side(2, -3, 2), "rejected": side(1, -5, 8), "margin": 1},
        {"id": "b", "chosen": side(0, -9, 3), "rejected": side(0, -1, 3), "margin": 0},
        {"id": "c", "chosen": side(-1, -2, 9), "rejected": side(-2, -4, 3), "margin": 1},
        {"id": "d", "chosen": side(0, -2, 2), "rejected": side(4, -1, 2), "margin": -4},
    ]
    found = rewards.estimates(lines)
    assert found["accuracy"]["estimate"] == 62.5
    assert found["margin"]["estimate"] == -0.5
    assert found["accuracy_logprob"]["estimate"] == 50
    assert found["accuracy_reference_logprob"]["estimate"] == 50
    assert found["accuracy_shorter"]["estimate"] == 50
    assert found["accuracy_per_token"]["estimate"] == 62.5
    judged = rewards.agreement(lines, {"a": 1.0, "d": 2.0, "zz": 1.0})
    assert judged is not None
    assert (judged["n"], judged["same_preference"]["estimate"]) == (2, 50)
    assert rewards.agreement(lines, {"zz": 1.0}) is None


def test_rows_are_compared_on_the_same_pairs_with_holms_correction() -> None:
    base = RANDOM.random(60) < 0.5
    outcomes = {"a": base.astype(float), "b": base.astype(float), "c": np.ones(60)}
    found = {(each["a"], each["b"]): each for each in rewards.compared(outcomes)}
    assert found["a", "b"]["difference"] == 0
    assert found["a", "b"]["p_holm"] == 1
    assert found["a", "c"]["difference"] == pytest.approx(100 * (base.mean() - 1))
    assert found["a", "c"]["p_value"] < found["a", "c"]["p_holm"] < 1e-3


def test_a_continuation_is_scored_on_the_states_behind_the_difference() -> None:
    found = separation.scores(line([9, 9, 1, 3, 99], [-8, -1, -3, -5]), start=1, beta=0.5)
    assert found["value"] == found["logsumexp"] == 2  # s_2 and s_3; not s_4, which is behind the end
    assert found["logprob"] == -3  # y_1 … y_3
    assert found["reward"] == -1.5


def made_pairs(n: int, informative: float, seed: int) -> tuple[list[Any], list[Any]]:
    """n examples of two pairs; V and log-prob each differ by noise plus their signal."""
    random = np.random.default_rng(seed)
    lines, pairs = [], []
    for number in range(n):
        for kind in ("token", "foreign"):
            good = random.normal(size=2) + np.array([informative, 1.0])
            bad = random.normal(size=2)
            lines += [line([0, v, 0], [0, p], list(random.normal(size=3))) for v, p in (good, bad)]
            pairs.append({"id": f"e{number}", "kind": kind, "start": 0, "good": len(lines) - 2, "bad": len(lines) - 1})
    return lines, pairs


def test_v_adds_to_the_log_prob_where_it_knows_more_and_nothing_where_it_is_noise() -> None:
    knows = separation.estimates(*made_pairs(150, 1.0, 1), 0.1)
    # two independent differences N(1, 2): Phi(1 / sqrt 2) = 0.760 each, Phi(1) = 0.841 together
    assert knows["auc_value"]["estimate"] == pytest.approx(0.760, abs=0.06)
    assert knows["auc_known_and_value"]["estimate"] == pytest.approx(0.841, abs=0.06)
    assert knows["added"]["low"] > 0
    assert set(knows["by_kind"]) == {"token", "foreign"}
    noise = separation.estimates(*made_pairs(150, 0.0, 2), 0.1)
    assert noise["auc_value"]["low"] < 0.5 < noise["auc_value"]["high"]
    assert noise["added"]["low"] <= 0 <= noise["added"]["high"]


def test_the_logistic_fit_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    features = RANDOM.normal(size=(80, 3)) + np.array([1.0, 0.2, 0.0])
    theirs = LogisticRegression(fit_intercept=False, C=0.5 / separation.RIDGE, tol=1e-10)
    # each difference as a win and, mirrored, as a loss: twice our loss
    theirs.fit(np.r_[features, -features], np.repeat([1, 0], 80))
    np.testing.assert_allclose(separation.logistic(features), theirs.coef_[0], atol=1e-5)


def test_weighted_spearman_is_scipys_on_the_repeated_data_ties_included() -> None:
    from scipy.stats import spearmanr

    a = RANDOM.integers(0, 6, 30).astype(float)
    b = a + RANDOM.integers(0, 4, 30)
    weights = RANDOM.integers(0, 4, (5, 30)).astype(float)
    expected = [spearmanr(np.repeat(a, w), np.repeat(b, w)).statistic for w in weights.astype(int)]
    np.testing.assert_allclose(agreement.weighted_spearman([a, b], weights)[:, 0, 1], expected, atol=1e-12)
    assert agreement.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_the_position_matched_shuffle_keeps_each_positions_values() -> None:
    values = [RANDOM.normal(size=length) + 10 * np.arange(length) for length in (3, 7, 5, 5, 2)]
    moved = np.concatenate(values)[agreement.shuffles([len(each) for each in values], 1)[0]]
    parts = np.split(moved, np.cumsum([len(each) for each in values])[:-1])
    for position in range(6):
        before = sorted(each[position] for each in values if len(each) > position)
        assert sorted(each[position] for each in parts if len(each) > position) == before
    assert not np.array_equal(moved, np.concatenate(values))


def test_a_common_trend_along_the_response_is_no_agreement() -> None:
    def responses(shared: float, seed: int) -> list[np.ndarray]:
        own, common = np.random.default_rng(seed), np.random.default_rng(99)
        return [np.arange(12) + own.normal(size=12) + shared * common.normal(size=1) for _ in range(40)]

    def agreed(shared: float) -> dict[str, Any]:
        rows = {"a": responses(shared, 1), "b": responses(shared, 2)}
        return agreement.compare(rows, dict.fromkeys(rows, [np.zeros(12)] * 40))[0]

    trend = agreed(0.0)
    assert trend["rho"] > 0.8
    assert trend["rho"] == pytest.approx(trend["null_mean"], abs=0.05)
    assert trend["p_value"] > 0.05
    agreeing = agreed(3.0)
    assert agreeing["rho_given_base"] == pytest.approx(agreeing["rho"])
    assert agreeing["low"] < agreeing["rho"] < agreeing["high"]
    assert agreeing["p_value"] < 0.01
    assert agreeing["low"] > agreeing["null_high"]


def test_agreement_that_comes_from_the_shared_base_alone_disappears_given_the_base() -> None:
    base, a, b = (RANDOM.normal(size=4000) for _ in range(3))
    first, second = a - base, b - base
    assert agreement.spearman(first, second) == pytest.approx(0.48, abs=0.05)
    assert agreement.partial_spearman(first, second, base) == pytest.approx(0, abs=0.05)
    assert agreement.partial_spearman(first, first, base) == pytest.approx(1)
    assert agreement.partial_spearman(-base, -base, base) is None


def test_the_agreement_given_the_base_has_an_interval_and_a_null_of_its_own() -> None:
    def cut(values: np.ndarray) -> list[np.ndarray]:
        return list(values.reshape(40, 25))

    base, own, other, common = RANDOM.normal(size=(4, 1000))
    rows = {"a": cut(own - base), "b": cut(other - base), "c": cut(0.8 * own + 0.6 * common - base)}
    found = {(each["a"], each["b"]): each for each in agreement.compare(rows, dict.fromkeys(rows, cut(base)))}
    chance, real = found["a", "b"], found["a", "c"]
    assert chance["low"] > chance["null_high"]  # the shared base alone
    assert chance["given_base"]["low"] < 0 < chance["given_base"]["high"]
    assert chance["given_base"]["p_value"] > 0.02
    assert real["given_base"]["low"] < real["rho_given_base"] < real["given_base"]["high"]
    assert real["given_base"]["low"] > real["given_base"]["null_high"]
    assert real["given_base"]["p_value"] < 0.01
    plain = agreement.compare(rows, dict.fromkeys(rows, cut(np.zeros(1000))))[0]
    assert plain["given_base"] == pytest.approx({key: plain[key] for key in plain["given_base"]})


def test_the_partial_correlation_of_a_draw_is_that_of_the_repeated_data() -> None:
    a, b, base = RANDOM.normal(size=(3, 30))
    weights = RANDOM.integers(0, 4, (5, 30))
    found = agreement.partial(agreement.weighted_spearman([a, b, base], weights.astype(float)), 0, 1, 2)
    expected = [agreement.partial_spearman(*(np.repeat(each, w) for each in (a, b, base))) for w in weights]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rows_without_values_have_no_correlation() -> None:
    still = [np.zeros(4), np.zeros(5), np.zeros(6)]
    found = agreement.compare({"a": still, "b": still}, {"a": still, "b": still})[0]
    assert found["rho"] is found["low"] is found["rho_given_base"] is None
    assert found["given_base"]["p_value"] is found["given_base"]["low"] is None


def test_trajectories_are_aligned_at_the_first_differing_token() -> None:
    lines, pairs = [], []
    for number in range(12):
        k = number % 3
        lines += [line([0.0] * (k + 1) + [v, v, 7.0], [0.0] * (k + 3)) for v in (1.0, -1.0)]
        pairs.append({"id": str(number), "kind": "token", "start": k, "good": 2 * number, "bad": 2 * number + 1})
    found = trajectories.aligned(lines, pairs)
    good, bad = ({p["place"]: p["estimate"] for p in found[side]} for side in ("good", "corrupted"))
    assert good == {0: 0, 1: 1, 2: 1}  # places before 0 have too few examples, the value behind the end is left out
    assert bad == {0: 0, 1: -1, 2: -1}
