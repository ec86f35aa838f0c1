"""Several training seeds: one estimate of the recipe, comparisons over seeds and instructions, and one seed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import files, leaderboard, recipe_file, seed_groups, verify
from harness.aggregate import differences, groups
from harness.aggregate.estimates import estimate
from harness.aggregate.outcomes import gather
from harness.board_evidence import open_board
from harness.stats.crossed import crossed_mean
from harness.store import Store
from tests.test_smoke import bridgebench

PARTS = ("in", "in", "in", "out", "retain")


def verdicts(passes: np.ndarray, model: str = "m") -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": f"p{number:03}",
            "part": PARTS[number % 5],
            "family": "f",
            "model": model,
            "baseline": "base",
            "preference": (1 + value) / 2,
            "score": float(value),
        }
        for number, value in enumerate(passes)
    ]


def drawn(rate: float, seeds: int = 3, n: int = 60, seed: int = 0, spread: float = 0.0) -> np.ndarray:
    """0 or 1, (seeds, instructions), with easy and hard instructions and better and worse seeds."""
    generator = np.random.default_rng(seed)
    difficulty = np.random.default_rng(99).normal(0, 0.2, n)
    lift = generator.normal(0, spread, (seeds, 1))
    return (generator.random((seeds, n)) < rate + difficulty + lift).astype(float)


def by_seed(values: np.ndarray) -> dict[int | None, list[dict[str, Any]]]:
    return {seed: verdicts(line) for seed, line in enumerate(values)}


def test_a_group_is_the_crossed_mean_of_its_checkpoints() -> None:
    values = drawn(0.5)
    found = groups.estimate(by_seed(values))
    expected = crossed_mean(values)
    assert found["pass_rate"] == pytest.approx(100 * expected.mean)
    assert found["pass_rate_low"] == pytest.approx(100 * expected.low)
    assert found["pass_rate_high"] == pytest.approx(100 * expected.high)
    rows = [estimate(lines)["pass_rate"] for lines in by_seed(values).values()]
    assert found["pass_rate"] == pytest.approx(np.mean(rows))
    assert [found["by_split"][part]["n"] for part in ("in", "out", "retain")] == [36, 12, 12]


def test_seeds_that_differ_widen_the_interval_and_one_seed_has_none_of_the_recipe() -> None:
    calm, wild = (groups.estimate(by_seed(drawn(0.5, spread=spread))) for spread in (0.0, 0.25))
    assert wild["pass_rate_standard_error"] > calm["pass_rate_standard_error"]
    one = groups.estimate(by_seed(drawn(0.5, seeds=1)))
    assert one["interval_note"] == groups.ONE_SEED
    assert one["pass_rate_standard_error"] is None


def test_an_instruction_without_a_verdict_in_any_seed_is_left_out_and_counted() -> None:
    lines = by_seed(drawn(0.5))
    lines[1][4] |= {"score": None, "preference": None}
    found = groups.estimate(lines)
    assert (found["n"], found["n_left_out"]) == (59, 1)


def test_differences_are_paired_by_seed_and_instruction() -> None:
    a, b = drawn(0.6, seed=1), drawn(0.4, seed=2)
    found = differences.difference(gather(by_seed(a), "pass_rate"), gather(by_seed(b), "pass_rate"))
    expected = crossed_mean(a - b)
    assert found.effect == pytest.approx(100 * expected.mean)
    assert (found.low, found.high) == (pytest.approx(100 * expected.low), pytest.approx(100 * expected.high))
    assert found.p is not None
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
    back = differences.difference(gather(by_seed(b), "pass_rate"), gather(by_seed(a), "pass_rate"))
    assert (back.effect, back.p) == (pytest.approx(-100 * expected.mean), pytest.approx(found.p))


def test_only_shared_seeds_are_paired_and_an_untrained_checkpoint_stands_beside_each() -> None:
    a, base = by_seed(drawn(0.6)), {None: verdicts(drawn(0.2, seeds=1)[0])}
    few = {seed: lines for seed, lines in by_seed(drawn(0.5, seed=4)).items() if seed != 1}
    assert differences.difference(gather(a, "pass_rate"), gather(few, "pass_rate")).seeds == (0, 2)
    beside = differences.difference(gather(a, "pass_rate"), gather(base, "pass_rate"))
    assert beside.seeds == (0, 1, 2)
    assert beside.effect == pytest.approx(100 * (drawn(0.6).mean() - drawn(0.2, seeds=1).mean()))


def test_a_cell_against_itself_differs_by_nothing_with_p_one() -> None:
    cell = gather(by_seed(drawn(0.5)), "pass_rate")
    found = differences.difference(cell, cell)
    assert (found.effect, found.p, found.low, found.high) == (0, 1, 0, 0)


def test_with_one_shared_seed_a_difference_is_of_these_checkpoints_and_ranks_nobody() -> None:
    cells = {"a": gather(by_seed(np.ones((1, 40))), "pass_rate"), "b": gather(by_seed(np.zeros((1, 40))), "pass_rate")}
    assert differences.difference(cells["a"], cells["b"]).degrees is None
    compared = groups.compare(cells, "pass_rate")
    assert compared["ranks"] == {"a": 1, "b": 1}
    assert compared["pairs"][0]["p"] is None


def test_the_paired_test_over_seeds_rejects_a_true_null_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    rejected = 0
    for _ in range(400):
        seed_effect, item_effect = generator.normal(0, 0.05, (3, 1)), generator.normal(0, 0.2, (1, 80))
        found = crossed_mean(seed_effect + item_effect + generator.normal(0, 0.3, (3, 80)))
        rejected += differences.two_sided(found, 80) < 0.05
    assert rejected / 400 < 0.09


def board_rows() -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    rows, lines = [], {}
    for name, rate in (("sft", 0.4), ("pearson-chi2", 0.8)):
        for seed, line in enumerate(drawn(rate, seed=len(name))):
            row = f"{name}+dpo@{seed}"
            lines[row] = verdicts(line, row)
            rows.append(
                {
                    "row": row,
                    "variant": name,
                    "preference_stage": "dpo",
                    "seed": seed,
                    "failed": None,
                    **estimate(lines[row]),
                }
            )
    rows.insert(0, {"row": "base", "variant": "base", "failed": None, **estimate(verdicts(drawn(0.1, 1)[0]))})
    lines["base"] = verdicts(drawn(0.1, 1)[0])
    rows.append(
        {"row": "sft+dpo@3", "variant": "sft", "preference_stage": "dpo", "seed": 3, "failed": "train failed: nan"}
    )
    return rows, lines


def test_a_board_gets_one_group_per_recipe_with_its_checkpoints_and_failures() -> None:
    rows, lines = board_rows()
    told = seed_groups.describe(rows, {"microtasks": lines}, "pass_rate")
    groups_by_name = {group["group"]: group for group in told["groups"]}
    assert [*groups_by_name] == ["base", "sft+dpo", "pearson-chi2+dpo"]
    sft = groups_by_name["sft+dpo"]
    assert (sft["seeds"], sft["n_seeds"], sft["failed"]) == ([0, 1, 2, 3], 3, {"sft+dpo@3": "train failed: nan"})
    assert groups_by_name["pearson-chi2+dpo"]["rank"] == 1
    assert sft["rank"] == 2
    assert groups_by_name["base"]["interval_note"] == "not trained here: over instructions only"


def test_the_page_shows_groups_with_their_checkpoints_and_a_board_with_one_seed_shows_none(tmp_path: Path) -> None:
    rows, lines = board_rows()
    board = {"board": "b", "title": "B", "comparison": {"metric": "pass_rate"}}
    leaderboard.build(board, rows, {}, tmp_path / "plain")
    assert "Recipes over training seeds" not in (tmp_path / "plain" / "index.html").read_text()
    told = seed_groups.describe(rows, {"microtasks": lines}, "pass_rate")
    leaderboard.build(board | told, rows, {}, tmp_path / "grouped")
    page = (tmp_path / "grouped" / "index.html").read_text()
    assert "Recipes over training seeds" in page
    assert "3 of 4" in page
    assert "failed: train failed: nan" in page
    assert "this checkpoint only" in page
    assert "## Recipes over training seeds" in (tmp_path / "grouped" / "leaderboard.md").read_text()


@pytest.mark.slow
def test_a_run_over_two_seeds_ends_with_groups_that_follow_from_its_published_verdicts(tmp_path: Path) -> None:
    small = ("--set", "variants={sft: {objective: sft}}", "--set", "preference_stages={none: }", "--set", "seeds=[0,1]")
    rows = ("--set", "data.sft.rows=4", "--set", "benchmark.rows=10")
    recipe = tmp_path / "two-seeds.yaml"
    recipe.write_text(recipe_file.locate("smoke").read_text("utf-8"), "utf-8")
    bridgebench(tmp_path / "store", "run", str(recipe), *small, *rows)
    board = tmp_path / "store" / "boards" / "smoke"
    data = files.read_json(board / "data.json")
    assert [row["row"] for row in data["rows"]] == ["base", "sft@0", "sft@1"]
    assert [(group["group"], group["n_seeds"]) for group in data["groups"]] == [("base", 0), ("sft", 2)]
    assert "One training seed" not in " ".join(data["notes"])
    store = Store(tmp_path / "store")
    found = seed_groups.describe(data["rows"], open_board(board, store).all_verdicts(), "pass_rate")
    assert found == {"groups": data["groups"], "group_comparison": data["group_comparison"]}
    published = tmp_path / "published"
    bridgebench(tmp_path / "store", "publish", "smoke", "--to", str(published))
    assert not [problem for problem in verify.run(store, str(published))[0] if problem.fatal]
    data["groups"][1]["pass_rate"] += 1
    files.write_json(published / "data.json", data)
    assert [problem.path for problem in verify.run(store, str(published))[0] if problem.fatal] == ["groups"]
