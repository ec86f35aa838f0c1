"""Verdicts on claims: the rule, what one seed cannot say, best-of-sweep on dev, named before the run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import files, recipe_file
from harness.claims import agreement, registration, render, report, rule, writing
from harness.errors import BridgebenchError, ConfigError
from harness.stats.crossed import crossed_mean
from harness.store import Store

PARTS = ("in", "in", "in", "out", "retain")
STUDY = "claims-smollm2"
Verdicts = dict[str, list[dict[str, Any]]]


def outcome(rate: float, seed: int, n: int = 200) -> np.ndarray:
    """0 or 1 per instruction; instructions are as hard in every cell and seed."""
    difficulty = np.random.default_rng(0).normal(0, 0.15, n)
    return (np.random.default_rng(seed).random(n) < rate + difficulty).astype(float)


def lines(row: str, values: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": f"p{number:03}",
            "part": PARTS[number % 5],
            "family": "f",
            "model": row,
            "baseline": "base",
            "preference": 0.5,
            "score": float(value),
        }
        for number, value in enumerate(values)
    ]


def board(rates: dict[str, float], *assignments: str, n: int = 200) -> tuple[dict[str, Any], Verdicts]:
    """A board of the study's recipe in which ``rates`` says how often a cell after DPO passes (others: 0.3)."""
    recipe = recipe_file.load(STUDY, assignments)
    rows: list[dict[str, Any]] = [{"row": "base", "failed": None}]
    verdicts = {"base": lines("base", outcome(0.1, 1, n))}
    for seed in recipe.seeds:
        for number, variant in enumerate(recipe.cells):
            for stage in ("none", "dpo"):
                cell = variant if stage == "none" else f"{variant}+{stage}"
                row = cell if len(recipe.seeds) == 1 else f"{cell}@{seed}"
                rows.append({"row": row, "variant": variant, "preference_stage": stage, "seed": seed, "failed": None})
                values = outcome(rates.get(cell, 0.3), 1000 * seed + 10 * number + (stage == "dpo"), n)
                verdicts[row] = lines(row, values)
    described = {"board": STUDY, "recipe": recipe.model_dump(mode="json"), "rows": rows, "benchmarks": ["microtasks"]}
    return described, verdicts


def made(rates: dict[str, float], *assignments: str, n: int = 200) -> dict[str, Any]:
    described, verdicts = board(rates, *assignments, n=n)
    return report.make(described, {"microtasks": verdicts})


def line(found: dict[str, Any], treatment: str, part: str = "all") -> dict[str, Any]:
    return next(each for each in found["claims"] if each["treatment"] == treatment and each["part"] == part)


def test_a_large_lead_is_supported_a_large_loss_is_not_and_a_small_one_cannot_be_told() -> None:
    rates = {"sft-lr1e-4+dpo": 0.55, "sft-lr2e-5+dpo": 1.0, "pearson-chi2-lr1e-4+dpo": 0.0}
    found = made(rates | {"jensen-shannon-lr1e-4+dpo": 0.56})
    assert line(found, "sft-lr2e-5+dpo")["verdict"] == "supported"
    assert line(found, "pearson-chi2-lr1e-4+dpo")["verdict"] == "not supported"
    small = line(found, "jensen-shannon-lr1e-4+dpo")
    assert small["verdict"] == "cannot tell"
    assert small["smallest_detectable_difference"] > 0
    assert "smallest detectable difference" in small["why"]
    summary = {item["claim"]: item["verdict"] for item in found["summary"]}
    assert summary["a"] == "supported"
    assert summary["b"].startswith("differs between cells")
    assert summary["c"] == "cannot tell"


def test_effects_are_the_crossed_means_of_paired_differences_on_each_part() -> None:
    described, verdicts = board({"sft-lr2e-5+dpo": 0.6})
    found = report.make(described, {"microtasks": verdicts})
    sides = [
        np.array([[each["score"] for each in verdicts[f"{cell}+dpo@{seed}"]] for seed in (0, 1, 2)])
        for cell in ("sft-lr2e-5", "sft-lr1e-4")
    ]
    expected = crossed_mean(sides[0] - sides[1])
    told = line(found, "sft-lr2e-5+dpo")
    assert told["effect"] == pytest.approx(100 * expected.mean)
    assert (told["low"], told["high"]) == (pytest.approx(100 * expected.low), pytest.approx(100 * expected.high))
    assert (told["seeds"], told["n"]) == (3, 200)
    assert [line(found, "sft-lr2e-5+dpo", part)["n"] for part in ("in", "out", "retain")] == [120, 40, 40]
    retain = crossed_mean((sides[0] - sides[1])[:, 4::5])
    assert line(found, "sft-lr2e-5+dpo", "retain")["effect"] == pytest.approx(100 * retain.mean)


def test_p_values_are_corrected_over_the_claims_within_a_part() -> None:
    found = made({"sft-lr2e-5+dpo": 0.4})
    for part in ("all", "in", "out", "retain"):
        tested = [each for each in found["claims"] if each["part"] == part and each["p_value"] is not None]
        assert len(tested) == 3
        smallest = min(tested, key=lambda each: each["p_value"])
        assert smallest["p_holm"] == pytest.approx(min(1, 3 * smallest["p_value"]))
        assert all(each["p_holm"] >= each["p_value"] for each in tested)


def test_one_seed_tells_nothing_about_recipes_and_says_so() -> None:
    found = made({"sft-lr2e-5+dpo": 0.9}, "seeds=[0]")
    told = line(found, "sft-lr2e-5+dpo")
    assert told["verdict"] == "cannot tell"
    assert told["effect"] > 40
    assert (told["p_value"], told["p_holm"], told["smallest_detectable_difference"]) == (None, None, None)
    assert "these checkpoints only" in told["why"]
    assert "One training seed" in found["cannot_tell"][0]


def test_a_failed_cell_is_named_and_its_other_seeds_count() -> None:
    described, verdicts = board({"sft-lr2e-5+dpo": 0.7})
    for row in described["rows"]:
        if row["row"] == "sft-lr2e-5+dpo@1" or row["row"].startswith("jensen-shannon-lr1e-4+dpo"):
            row["failed"] = "train failed: the loss became nan"
            del verdicts[row["row"]]
    found = report.make(described, {"microtasks": verdicts})
    assert line(found, "sft-lr2e-5+dpo")["seeds"] == 2
    assert "became nan" in line(found, "sft-lr2e-5+dpo")["why"]
    lost = line(found, "jensen-shannon-lr1e-4+dpo")
    assert (lost["verdict"], lost["effect"]) == ("cannot tell", None)
    assert "became nan" in lost["why"]


def test_verdicts_that_never_differ_tell_nothing() -> None:
    described, verdicts = board({})
    verdicts = {row: lines(row, np.zeros(200)) for row in verdicts}
    told = line(report.make(described, {"microtasks": verdicts}), "sft-lr2e-5+dpo")
    assert (told["effect"], told["verdict"]) == (0, "cannot tell")
    assert "spread is not known" in told["why"]


SWEPT = (
    "benchmark=",
    "benchmarks={test: {source: 'builtin:microtasks', split: eval}, dev: {source: 'builtin:microtasks', split: dev}}",
    "claims.primary=[[pearson-chi2-lr1e-4, pearson-chi2-lr2e-5]]",
    "claims.select_on=dev",
)


def test_the_best_of_a_sweep_is_picked_on_dev_and_reported_on_test() -> None:
    described, on_test = board({"pearson-chi2-lr1e-4+dpo": 0.9, "pearson-chi2-lr2e-5+dpo": 0.6}, *SWEPT)
    _, on_dev = board({"pearson-chi2-lr1e-4+dpo": 0.3, "pearson-chi2-lr2e-5+dpo": 0.7}, *SWEPT)
    described["benchmarks"] = ["test", "dev"]
    found = report.make(described, {"test": on_test, "dev": on_dev})
    (pick,) = found["selection"]
    assert pick["picked"] == "pearson-chi2-lr2e-5"  # the worse one on test
    expected = np.mean(
        [each["score"] for row, own in on_test.items() if row.startswith("pearson-chi2-lr2e-5+dpo") for each in own]
    )
    control = np.mean(
        [each["score"] for row, own in on_test.items() if row.startswith("sft-lr1e-4+dpo") for each in own]
    )
    assert line(found, "pearson-chi2-lr2e-5+dpo")["effect"] == pytest.approx(100 * (expected - control))
    assert any("tuned on dev" in text for text in found["cannot_tell"])


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        (("claims.baseline=sft-lr1e4",), 'no "sft-lr1e4". Did you mean "sft-lr1e-4"'),
        (("claims.low_learning_rate=sft-lr1e-4",), "not plain SFT below"),
        (("claims.low_learning_rate=pearson-chi2-lr2e-5",), "not plain SFT below"),
        (("claims.primary=[sft-lr2e-5]",), "not an f-SFT variant"),
        (("claims.primary=[]",), "at least 1"),
        (("claims.preference_stage=dop",), 'Did you mean "dpo"'),
        (("claims.primary=[[pearson-chi2-lr1e-4, pearson-chi2-lr2e-5]]",), "needs a benchmark"),
        ((*SWEPT, "claims.select_on=test"), "favours the pick"),
        ((*SWEPT, "claims.select_on=def"), 'Did you mean "dev"'),
        (("claims.smallest_efect=1",), 'Did you mean "smallest_effect"'),
        (("preference_stages={none: , a: {}, b: {}}", "claims.preference_stage="), "name one of a, b"),
    ],
)
def test_a_claims_block_that_cannot_be_tested_is_refused(assignments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe_file.load(STUDY, assignments)


@given(st.floats(-30, 30), st.floats(0.01, 20), st.floats(2, 500), st.floats(0, 10))
def test_the_rule_is_the_interval_read_off(effect: float, error: float, degrees: float, smallest: float) -> None:
    from scipy.stats import t

    evidence = rule.Evidence(effect, error, degrees, smallest)
    half = float(t.ppf(0.975, degrees)) * error
    p = 2 * float(t.sf(abs(effect) / error, degrees))
    verdict = rule.decide(effect, p, rule.p_below(evidence))
    if effect + half < smallest - 1e-9:
        assert verdict == "not supported"
    elif effect - half > 1e-9:
        assert verdict == "supported"
    elif effect - half < -1e-9 and effect + half > smallest + 1e-9:
        assert verdict == "cannot tell"


def test_the_detectable_difference_of_many_seeds_is_the_boards_figure() -> None:
    assert rule.detectable(rule.Evidence(0.0, 1.0, 1e9, 0.0)) == pytest.approx(1.96 + 0.84, abs=0.01)
    few = rule.detectable(rule.Evidence(0.0, 1.0, 2.0, 0.0))
    assert few is not None
    assert few > 5


def values_report(rho: float, seeds: tuple[int, ...] = (0, 1, 2), p: float = 1 / 201) -> dict[str, Any]:
    cells = ("sft-lr1e-4", "sft-lr2e-5", "pearson-chi2-lr1e-4", "jensen-shannon-lr1e-4")
    ends = {"low": rho - 0.05, "high": rho + 0.05, "null_mean": 0.1, "null_high": 0.14, "p_value": p}
    pairs = [
        {"a": f"{cell}@{seed}", "b": f"{cell}+dpo@{seed}", "rho": 0.9, "given_base": {"rho": rho, **ends}}
        for cell in cells
        for seed in seeds
    ]
    return {"analysis": "values", "rows": [{"row": "sft-lr1e-4@0", "pairs": 640}], "agreement": {"value": pairs}}


def test_agreement_of_values_is_taken_from_the_analysis_above_its_shuffled_null() -> None:
    described, verdicts = board({})
    found = report.make(described, {"microtasks": verdicts}, values_report(0.8))
    told = line(found, "sft-lr1e-4+dpo")
    assert (told["claim"], told["verdict"], told["seeds"], told["n"]) == ("c", "supported", 3, 640)
    assert told["effect"] == pytest.approx(0.7)
    assert (
        line(report.make(described, {"microtasks": verdicts}, values_report(-0.3, p=1.0)), "sft-lr1e-4+dpo")["verdict"]
        == "not supported"
    )
    one = report.make(described, {"microtasks": verdicts}, values_report(0.8, seeds=(0,)))
    assert line(one, "sft-lr1e-4+dpo")["verdict"] == "cannot tell"
    absent = line(made({}), "sft-lr1e-4+dpo")
    assert absent["verdict"] == "cannot tell"
    assert "no values analysis; run `bridgebench analyze values claims-smollm2`" in absent["why"]
    assert "0.90" in told["why"]  # the plain rho stands beside it


def test_another_file_is_no_values_report(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"analysis": "rewards"})
    with pytest.raises(ConfigError, match="not the report of a values analysis"):
        agreement.read(tmp_path / "x.json")
    with pytest.raises(ConfigError, match="there is no file"):
        agreement.read(tmp_path / "y.json")


def test_claims_are_on_record_from_the_first_run_on_and_change_with_what_they_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    study = recipe_file.load(STUDY)
    assert registration.read(study, store) is None
    first = registration.register(study, store)
    assert first is not None
    assert first["seeds"] == [0, 1, 2]
    assert registration.register(recipe_file.load(STUDY, ("seeds=[0,1,2,3]", "title=Other")), store) == first
    for change in ("variants.jensen-shannon.beta=0.1", "claims.smallest_effect=0", "preference_stages.dpo.beta=1"):
        assert registration.digest(recipe_file.load(STUDY, (change,))) != first["digest"]
    assert registration.register(recipe_file.load("smoke"), store) is None
    assert len(list((tmp_path / "claims").iterdir())) == 1


def test_the_report_says_when_claims_came_after_results_or_seeds_were_added() -> None:
    described, verdicts = board({}, "seeds=[0,1,2,3]")
    record = {"digest": "d" * 64, "recorded": "2026-01-02", "seeds": [0, 1, 2], "first_verdict": "2026-01-01"}
    described["claims_registration"] = {**record, "before_results": False}
    found = report.make(described, {"microtasks": verdicts})
    said = " ".join(found["cannot_tell"])
    assert "after the first verdict" in said
    assert "Seeds 3 were added" in said
    assert "NOT before" in render.markdown(found)


def test_a_board_without_claims_and_a_name_without_a_board_are_refused(tmp_path: Path) -> None:
    described, verdicts = board({})
    plain = copy.deepcopy(described)
    plain["recipe"]["claims"] = None
    with pytest.raises(ConfigError, match="names no claims"):
        report.make(plain, {"microtasks": verdicts})
    with pytest.raises(ConfigError, match='Did you mean "claims-smollm2"'):
        writing.locate("claims-smolm2", Store(tmp_path))
    with pytest.raises(BridgebenchError, match="has no board"):
        writing.locate(STUDY, Store(tmp_path))


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    described, verdicts = board({"sft-lr2e-5+dpo": 0.7})
    found = report.make(described, {"microtasks": verdicts})
    writing.write(found, described, tmp_path)
    assert json.loads((tmp_path / "claims.json").read_text()) == found
    page, text = (tmp_path / "claims.html").read_text(), (tmp_path / "claims.md").read_text()
    effect = render.number(line(found, "sft-lr2e-5+dpo")["effect"], 1)
    for told in (page, text, render.table(found)):
        assert effect in told
        assert "supported" in told
    assert "<script>alert" not in page
    assert all(len(part) <= 120 for part in render.table(found).splitlines())


def test_the_study_still_is_what_was_registered_before_it_ran(tmp_path: Path) -> None:
    published = files.read_json(Path(__file__).parent.parent / "leaderboards" / "claims-smollm2" / "data.json")[
        "claims_registration"
    ]
    assert registration.digest(recipe_file.load("claims-smollm2", (), tmp_path)) == published["digest"]
