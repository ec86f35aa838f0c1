"""Verdict lines → estimates of a row and the comparison of rows: what is counted, left out, refused."""

import random

import numpy as np
import pytest

from harness.aggregate import compare, estimate
from harness.errors import IntegrityError

RATES = ("win_rate", "lc_win_rate", "pass_rate", "mean_score")
CORE = {*RATES, *(f"{rate}_low" for rate in RATES), *(f"{rate}_high" for rate in RATES), "n", "n_missing"}
CORE |= {
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "discrete_win_rate",
    "lc_reason",
    "interval_note",
}
WHOLE = {"by_split", "by_family", "mean_length", "mean_completion_tokens", "truncation_rate", "empty_rate"}


def verdict(number, preference, score, **more):
    return {
        "prompt_id": f"p{number:03}",
        "model": "sft",
        "baseline": "base",
        "preference": preference,
        "score": score,
        "part": ("in", "out", "retain")[number % 3],
        "family": f"family-{number % 4}",
        "length_model": 100 + 7 * (number % 13),
        "length_baseline": 120 + 5 * (number % 11),
        "completion_tokens": 30,
        "truncated": number % 10 == 0,
        "empty": False,
    } | more


def row(share=0.6, n=120, seed=0, **more):
    generator = random.Random(seed)
    lines = []
    for number in range(n):
        score = 1.0 if generator.random() < share else generator.choice([0.0, 0.5])
        base = float(generator.random() < 0.3)
        preference = 0.5 if score == base else float(score > base)
        lines.append(verdict(number, preference, score, **more))
    return lines


def test_a_row_has_every_figure_of_the_interface_with_its_estimate_inside_the_interval():
    found = estimate(row())
    assert set(found) >= CORE | WHOLE
    assert all(set(part) >= CORE for part in found["by_split"].values())
    for part in (found, *found["by_split"].values()):
        for rate in RATES:
            assert part[f"{rate}_low"] <= part[rate] <= part[f"{rate}_high"]


def test_the_same_verdicts_in_another_order_give_the_same_estimates_bit_for_bit():
    lines = row()
    assert estimate(lines, seed=3) == estimate(random.Random(1).sample(lines, len(lines)), seed=3)


def test_parts_and_families_add_up_to_the_whole():
    lines = row()
    found = estimate(lines)
    assert sum(part["n"] for part in found["by_split"].values()) == 120
    assert sum(family["n"] for family in found["by_family"].values()) == 120
    mean = sum(part["n"] * part["pass_rate"] for part in found["by_split"].values()) / 120
    assert mean == pytest.approx(found["pass_rate"])
    assert list(found["by_split"]) == ["in", "out", "retain"]


def test_the_pass_rate_counts_full_scores_only_and_the_mean_score_partial_ones_too():
    found = estimate([verdict(0, 0.5, 1.0), verdict(1, 0.5, 0.99), verdict(2, 0.5, 0.0), verdict(3, 0.5, 1)])
    assert (found["pass_rate"], found["mean_score"]) == (50, pytest.approx(74.75))


def test_a_missing_verdict_is_counted_shown_and_left_out():
    whole = row()
    holes = [{**line, "preference": None, "score": None} if number < 5 else line for number, line in enumerate(whole)]
    found, expected = estimate(holes), estimate(whole[5:])
    assert (found["n"], found["n_missing"], found["n_scored"]) == (115, 5, 115)
    for rate in RATES:
        assert found[rate] == expected[rate]
        assert found[f"{rate}_low"] == expected[f"{rate}_low"]


def test_a_missing_baseline_takes_the_preference_and_leaves_the_score():
    lines = row()
    lines[0] |= {"preference": None}
    found = estimate(lines)
    assert (found["n"], found["n_missing"], found["n_scored"]) == (119, 1, 120)


def test_a_judge_without_scores_gives_no_pass_rate_rather_than_zero():
    found = estimate([verdict(number, 0.5 + 0.01 * number, None) for number in range(20)])
    assert (found["pass_rate"], found["pass_rate_low"], found["mean_score"], found["n_scored"]) == (
        None,
        None,
        None,
        0,
    )
    assert found["win_rate"] == pytest.approx(59.5)


def test_the_baseline_against_itself_is_one_half_by_definition():
    lines = [verdict(n, 0.5, float(n % 2), model="base", length_model=9, length_baseline=9) for n in range(60)]
    found = estimate(lines)
    assert [found[key] for key in ("win_rate", "win_rate_low", "win_rate_high", "standard_error")] == [
        50,
        50,
        50,
        0,
    ]
    assert (found["lc_win_rate"], found["lc_reason"]) == (50, None)
    assert "definition" in found["interval_note"]
    assert found["pass_rate_low"] < 50 < found["pass_rate_high"]


def test_equal_lengths_leave_no_controlled_rate_but_a_reason():
    found = estimate([line | {"length_model": 50, "length_baseline": 60} for line in row()])
    assert found["lc_win_rate"] is None
    assert "does not vary" in found["lc_reason"]
    assert found["win_rate"] is not None


def test_missing_lengths_leave_no_controlled_rate_but_a_reason():
    lines = row()
    lines[3] |= {"length_model": None}
    assert estimate(lines)["lc_reason"] == "lengths are missing"


def test_no_verdict_at_all_gives_nulls():
    found = estimate([verdict(0, None, None)])
    assert (found["n"], found["n_missing"]) == (0, 1)
    assert all(found[rate] is None for rate in RATES)
    assert estimate([])["n"] == 0


def test_lengths_and_truncation_are_those_of_all_completions():
    found = estimate([verdict(0, 1.0, 1.0, length_model=10), verdict(1, None, None, length_model=30, empty=True)])
    assert (found["mean_length"], found["truncation_rate"], found["empty_rate"]) == (20, 50, 50)


def test_a_prompt_judged_twice_is_refused_by_name():
    with pytest.raises(IntegrityError, match='sft has 2 verdicts on prompt "p004"'):
        estimate([*row(), verdict(4, 1.0, 1.0)])


@pytest.mark.parametrize("wrong", [{"preference": 1.5}, {"score": -0.1}, {"score": float("nan")}, {"preference": "A"}])
def test_a_value_outside_its_range_is_refused_by_name(wrong):
    with pytest.raises(IntegrityError, match="p007"):
        estimate([line | wrong if line["prompt_id"] == "p007" else line for line in row()])


def test_a_better_row_ranks_first_and_indistinguishable_rows_share_a_rank():
    rows = {"weak": row(0.2, seed=1), "good": row(0.8, seed=2), "also-good": row(0.82, seed=3)}
    found = compare(rows)
    assert found["metric"] == "pass_rate"
    assert found["ranks"] == {"weak": 3, "good": 1, "also-good": 1}
    by_pair = {(pair["a"], pair["b"]): pair for pair in found["pairs"]}
    assert by_pair["weak", "good"]["difference"] < 0
    assert by_pair["weak", "good"]["significant"]
    assert by_pair["weak", "good"]["difference_high"] < 0
    assert not by_pair["good", "also-good"]["significant"]


def test_rows_are_compared_on_the_prompts_that_both_answered():
    left, right = row(seed=1), row(seed=1)
    left[0] |= {"score": None}
    right[1] |= {"score": None}
    (pair,) = compare({"a": left, "b": right[:-2]})["pairs"]
    assert (pair["n"], pair["difference"], pair["p"]) == (116, 0, 1)


def test_a_paired_comparison_sees_what_overlapping_intervals_hide():
    left = row(0.5, n=300, seed=4)
    right = [dict(line) for line in left]
    failed = [line for line in right if line["score"] < 1]
    for line in failed[:15]:
        line["score"] = 1.0  # better on 15 prompts, worse on none
    apart, (pair,) = (estimate(left), estimate(right)), compare({"a": left, "b": right})["pairs"]
    assert apart[0]["pass_rate_high"] > apart[1]["pass_rate_low"]
    assert pair["significant"]


def test_without_scores_rows_are_compared_by_preference():
    rows = {name: [line | {"score": None} for line in row(share, seed=5)] for name, share in (("a", 0.2), ("b", 0.9))}
    found = compare(rows)
    assert found["metric"] == "win_rate"
    assert found["ranks"] == {"a": 2, "b": 1}


def test_more_rows_make_the_correction_stricter():
    rows = {"a": row(0.45, seed=6), "b": row(0.6, seed=7)}
    alone = compare(rows)["pairs"][0]
    among_many = compare(rows | {f"r{k}": row(0.5, seed=10 + k) for k in range(5)})["pairs"][0]
    assert among_many["p"] == alone["p"]
    assert among_many["p_holm"] > alone["p_holm"]


def test_the_smallest_detectable_difference_names_the_deviation_it_assumes():
    found = compare({"a": row(0.4, seed=8), "b": row(0.5, seed=9)})
    detectable = found["smallest_detectable_difference"]
    assert detectable["points"] == pytest.approx(2.8 * detectable["assumed_deviation"] / np.sqrt(120))
    assert detectable["n"] == 120


def test_a_single_row_and_a_row_without_verdicts_are_no_error():
    assert compare({"a": row()})["ranks"] == {"a": 1}
    empty = [line | {"score": None, "preference": None} for line in row()]
    assert compare({"a": row(), "none": empty})["ranks"] == {"a": 1, "none": None}


def both_orders(lines, flip=()):
    """Each line judged in both orders; prompts whose number is in ``flip`` go to whichever is shown first."""
    found = []
    for number, line in enumerate(lines):
        for order in ("baseline_first", "model_first"):
            sided = float(order == "model_first") if number in flip else line["preference"]
            found.append(line | {"order": order, "preference": sided})
    return found


def test_two_orders_of_a_prompt_are_one_prompt_with_their_mean():
    single, flips = row(n=60), range(15)
    averaged = [line | {"preference": 0.5} if n in flips else line for n, line in enumerate(single)]
    found, expected = estimate(both_orders(single, flips)), estimate(averaged)
    assert found.pop("position_consistency") == 75
    assert found.pop("first_position_rate") == pytest.approx(50 + 25 / 2)
    for part in found["by_split"].values():
        assert {part.pop(key) is not None for key in ("position_consistency", "first_position_rate")} == {True}
    assert found == expected


def test_an_order_without_a_verdict_makes_its_prompt_missing():
    lines = both_orders(row(n=30))
    lines[0]["preference"] = None  # an answer in one order alone would carry its position bias
    absent = lines[:5] + lines[6:]
    found = estimate(absent)
    assert (found["n"], found["n_missing"], found["position_consistency"]) == (28, 2, 100)


def test_a_prompt_judged_twice_in_one_order_is_refused_by_name():
    lines = both_orders(row(n=30))
    with pytest.raises(IntegrityError, match='sft has 2 verdicts on prompt "p003"'):
        estimate([*lines, lines[7]])


def test_one_order_a_prompt_reports_the_preference_for_the_first_shown_and_no_consistency():
    orders = ("baseline_first", "model_first")
    lines = [verdict(n, float(n % 2), None, order=orders[n % 2]) for n in range(20)]
    found = estimate(lines)
    assert (found["first_position_rate"], found["position_consistency"], found["win_rate"]) == (100, None, 50)


def test_a_row_without_orders_has_no_position_columns():
    assert "first_position_rate" not in estimate(row())
