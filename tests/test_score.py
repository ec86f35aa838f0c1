"""``bridgebench score``: stored verdicts of every format → the published numbers, or an error that names the item."""

import gzip
import json
import random

import numpy as np
import pytest
from click.testing import CliRunner

from harness import score as scoring
from harness.cli import bridgebench
from harness.errors import ConfigError, IntegrityError
from harness.score import report

COUNTS = ("n_wins", "n_wins_base", "n_draws")


def call(*arguments):
    found = CliRunner().invoke(bridgebench, ["score", *map(str, arguments)])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def rows_of(*arguments):
    found = call(*arguments, "--json")
    return {row["model"]: row for row in json.loads(found.stdout)["rows"]}, found.exit_code


def rows(benchmark, *paths, **settings):
    return {row["model"]: row for row in scoring.score(scoring.Request(benchmark, list(paths), **settings))}


@pytest.fixture(scope="session")
def alpaca(shared_data):
    return shared_data / "alpaca_eval"


@pytest.fixture(scope="session")
def extra(alpaca):
    return {"gamed": alpaca / "df_gamed_reconstructed.csv", "difficulty": alpaca / "instruction_difficulty.csv"}


@pytest.fixture(scope="session")
def board(alpaca):
    import pandas as pd

    return pd.read_csv(alpaca / "leaderboard.csv", index_col=0)


@pytest.fixture(scope="session")
def official(alpaca, extra):
    files = ["--gamed", extra["gamed"], "--difficulty", extra["difficulty"], "--length-control", "official"]
    found, code = rows_of("--benchmark", "alpaca_eval", "--verdicts", alpaca / "annotations.parquet", *files)
    assert code == 0
    return found


def test_all_29_models_have_the_published_rates_counts_and_length_controlled_rates(official, board):
    assert len(official) == 29
    off = []
    for name, row in official.items():
        for key in ("win_rate", "standard_error", "discrete_win_rate", *COUNTS):
            assert row[key] == pytest.approx(board.loc[name, key], abs=1e-6), (name, key)
        assert row["n"] == board.loc[name, "n_total"]
        assert row["lc_win_rate_low"] < row["lc_win_rate"] < row["lc_win_rate_high"]
        assert row["win_rate_low"] < row["win_rate"] < row["win_rate_high"]
        off.append(abs(row["lc_win_rate"] - board.loc[name, "length_controlled_winrate"]))
    assert max(off) < 0.16
    assert sum(value < 0.002 for value in off) >= 15


def test_an_absent_row_is_missing_named_and_joined_by_instruction_unless_the_official_quirk_is_wanted(
    alpaca, extra, official, tmp_path
):
    import pandas as pd

    table = pd.read_parquet(alpaca / "annotations.parquet")
    path = tmp_path / "two.parquet"
    table[table["model"].isin(["text_davinci_001", "phi-2-sft"])].to_parquet(path)
    found = rows("alpaca_eval", path, lc_draws=50, **extra)["text_davinci_001"]
    assert (found["n"], found["n_missing"], found["missing_by_kind"]) == (803, 2, {"absent": 2})
    assert [item["item"] for item in found["missing"]] == ["000247", "000504"]
    quirk = official["text_davinci_001"]
    assert quirk["lc_win_rate"] - found["lc_win_rate"] == pytest.approx(2.55, abs=0.01)
    assert (quirk["length_control"], found["length_control"]) == ("official", "corrected")
    assert any("shift" in note for note in quirk["notes"])


@pytest.fixture(scope="session")
def phi(alpaca):
    return json.loads(gzip.decompress((alpaca / "phi-2-sft.annotations.json.gz").read_bytes()))


def test_phi_2_sft_from_its_outputs_and_replayed_log_probs_to_the_published_row(alpaca, phi, extra, board, tmp_path):
    from harness.adapters.alpaca_eval import read_model_outputs
    from harness.protocols import alpaca_eval as protocol

    own = read_model_outputs(alpaca / "phi-2-sft.model_outputs.json.gz")
    base = {line["prompt_id"]: line for line in read_model_outputs(alpaca / "gpt4_1106_preview.model_outputs.json.gz")}
    replayed = []
    for completion, stored in zip(own, phi, strict=True):
        instruction, other = completion["prompt_id"], base[completion["prompt_id"]]
        assert (completion["text"], other["text"]) == (stored["output_2"], stored["output_1"])
        x = protocol.without_call(other["text"], completion["text"])
        if x is None:
            x = protocol.preference(protocol.top_logprobs(stored["raw_completion"]), instruction)
        assert x == pytest.approx(stored["preference"], abs=1e-9)
        replayed.append(
            {
                "prompt_id": f"alpaca_eval-{completion['index']}",
                "order": "model_first" if protocol.is_switched(instruction) else "baseline_first",
                "model": completion["model"],
                "baseline": other["model"],
                "judge_key": "replayed",
                "preference": x - 1,
                "length_model": len(completion["text"]),
                "length_baseline": len(other["text"]),
            }
        )
    random.Random(0).shuffle(replayed)  # judges append in whatever order answers come
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in replayed))
    found = rows("alpaca_eval", path, length_control="official", lc_draws=50, **extra)["phi-2-sft"]
    published = board.loc["phi-2-sft"]
    for key in ("win_rate", "standard_error", "discrete_win_rate", *COUNTS):
        assert found[key] == pytest.approx(published[key], abs=1e-6)
    assert found["n"] == 805
    assert found["lc_win_rate"] == pytest.approx(5.844, abs=0.0005)
    assert found["lc_win_rate"] == pytest.approx(published["length_controlled_winrate"], abs=0.016)
    assert 45 < found["first_position_rate"] < 60


def test_annotations_of_several_models_are_numbered_by_the_one_that_is_whole(phi, extra, tmp_path):
    holed = [line | {"generator_2": "holed"} for line in phi if line is not phi[100] and line is not phi[7]]
    path = tmp_path / "annotations.json.gz"
    path.write_bytes(gzip.compress(json.dumps(phi + holed).encode()))
    found = rows("alpaca_eval", path, lc_draws=20, **extra)
    assert found["holed"]["lc_win_rate"] == pytest.approx(found["phi-2-sft"]["lc_win_rate"], abs=0.1)
    quirk = rows("alpaca_eval", path, lc_draws=20, length_control="official", **extra)["holed"]
    assert abs(quirk["lc_win_rate"] - found["phi-2-sft"]["lc_win_rate"]) > 1
    (tmp_path / "alone.json").write_text(json.dumps(holed))
    alone = rows("alpaca_eval", tmp_path / "alone.json", lc_draws=20, **extra)["holed"]
    assert alone["lc_win_rate"] is None
    assert "which of the benchmark's instructions" in alone["notes"][1]


def test_without_the_fits_files_our_own_length_control_is_used_and_said(alpaca):
    found, code = rows_of("--benchmark", "alpaca_eval", "--verdicts", alpaca / "phi-2-sft.annotations.json.gz")
    row = found["phi-2-sft"]
    assert (row["length_control"], code) == ("own", 0)
    assert any("hub" in note and "own length control" in note for note in row["notes"])


def test_a_null_preference_is_missing_by_kind_and_keeps_its_row_in_the_fit(phi, extra, tmp_path):
    lines = [dict(line) for line in phi]
    lines[3]["preference"] = None
    lines[4] |= {"preference": None, "raw_completion": None}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(lines))
    found = rows("alpaca_eval", path, lc_draws=20, **extra)["phi-2-sft"]
    assert (found["n"], found["n_missing"], found["failed"]) == (803, 2, None)
    assert found["missing_by_kind"] == {"infrastructure": 1, "unparsed": 1}
    assert found["lc_win_rate"] == pytest.approx(5.84, abs=0.1)


def test_arena_hards_published_rates_with_intervals_over_questions(shared_data):
    found = rows("arena_hard", shared_data / "arena_hard/kt_battles.jsonl")
    for model, rate, low, high in (("gpt-3.5-turbo-0125", 23.34, 20.1, 26.8), ("gpt-4-0613", 37.90, 34.0, 41.9)):
        row = found[model]
        assert row["win_rate"] == pytest.approx(rate, abs=0.005)
        assert (row["win_rate_low"], row["win_rate_high"]) == pytest.approx((low, high), abs=0.25)
        assert row["n"] == 500
        assert 1.96 * row["standard_error"] == pytest.approx((high - low) / 2, abs=0.15)


def test_the_mini_run_is_scored_from_its_judge_texts_without_the_baseline_itself(shared_data):
    paths = sorted((shared_data / "arena_hard/mini_run/model_judgment").rglob("*.jsonl"))
    found = rows("arena_hard", *paths, baseline="truth_model")
    assert len(found) == 5
    assert "truth_model" not in found
    assert all(row["n_games"] == 20 and row["n_missing"] == 0 for row in found.values())
    assert all(row["n_parser_disagreements"] == 0 for row in found.values())
    assert all(0 <= row["position_consistency"] <= 100 for row in found.values())
    # from the stored battles, where a "much better" counts once, the counts are the same
    battles = rows("arena_hard", shared_data / "arena_hard/mini_run/arena_hard_battles.jsonl")
    assert {m: [r[k] for k in COUNTS] for m, r in found.items()} == {
        m: [r[k] for k in COUNTS] for m, r in battles.items()
    }


def test_style_control_of_the_mini_run_needs_the_answers_and_moves_the_rates(shared_data):
    folder = shared_data / "arena_hard/mini_run"
    judged, answers = (sorted((folder / name).rglob("*.jsonl")) for name in ("model_judgment", "model_answer"))
    plain = rows("arena_hard", *judged, baseline="truth_model")
    assert all("--answers" in row["lc_reason"] for row in plain.values())
    found = rows("arena_hard", *judged, baseline="truth_model", answers=tuple(answers), lc_draws=100)
    for model, row in found.items():
        assert row["win_rate"] == plain[model]["win_rate"]
        assert row["length_control"] == "style"
        assert row["lc_win_rate_low"] < row["lc_win_rate"] < row["lc_win_rate_high"]
        assert set(row["style_coefficients"]) == {"length", "headers", "lists", "bold"}
    assert max(abs(row["lc_win_rate"] - row["win_rate"]) for row in found.values()) > 1
    some = rows("arena_hard", *judged, baseline="truth_model", answers=tuple(answers[1:]), lc_draws=20)
    assert sum("has no answer to 10 questions" in (row["lc_reason"] or "") for row in some.values()) == 1
    with pytest.raises(ConfigError, match="not an answer"):
        rows("arena_hard", *judged, answers=(folder / "question.jsonl",))


def judgment(question, *texts, model="m"):
    games = [{"judgment": text, "score": None} for text in texts]
    return {"question_id": question, "model": model, "judge": "j", "games": games}


def test_the_two_versions_of_arena_hard_treat_a_missing_game_each_in_its_way(tmp_path):
    path = tmp_path / "j.jsonl"
    lines = [judgment("a", "[[A>B]]", "[[A>B]]"), judgment("b", "$ERROR$", "[[A>>B]]"), judgment("c", "no", "[[A=B]]")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one, two = (rows(name, path, max_missing=0.5)["m"] for name in ("arena_hard", "arena_hard_v2"))
    assert (one["n_games"], one["n_missing"], one["win_rate"]) == (4, 2, pytest.approx(100 * (0 + 1 + 3 + 0.5) / 6))
    assert (two["n_games"], two["win_rate"]) == (2, 50)
    assert one["missing_by_kind"] == {"infrastructure": 1, "unparsed": 1}
    assert rows("arena-hard-v0.1", path)["m"]["failed"].startswith("2 of 6 verdicts are missing")


def test_mt_benchs_three_clean_scores_and_their_intervals_over_questions(shared_data):
    found = rows("mt_bench", shared_data / "mt_bench/clean_gpt-4_single.jsonl.gz")
    assert sorted(row["score"] for row in found.values()) == pytest.approx([6.3937, 6.5125, 6.6750], abs=1e-4)
    for row in found.values():
        assert row["score_low"] < row["score"] < row["score_high"]
        assert row["score"] == pytest.approx((row["turn_1"] + row["turn_2"]) / 2)
        assert (row["n"], row["n_failed"], row["n_questions"]) == (160, 0, 80)


def test_in_the_file_with_errors_one_model_fails_and_the_other_passes_with_its_failure_named(shared_data):
    path = shared_data / "mt_bench/with_errors_gpt-4_single.jsonl.gz"
    found, code = rows_of("--benchmark", "mt_bench", "--verdicts", path)
    assert code == 1
    failed = found["mistral-7b_dolphin_orca_labonne_dpo"]
    assert "14 of 160" in failed["failed"]
    assert (failed["n"], failed["n_failed"], failed["score"]) == (146, 14, None)
    assert failed["missing_by_kind"] == {"infrastructure": 14}
    passed = found["mistral-7b_dolphin_orca_wgm_dpo_bf16"]
    assert (passed["n"], passed["n_failed"], passed["failed"]) == (159, 1, None)
    assert passed["score"] == pytest.approx(7.8082, abs=5e-5)
    (item,) = passed["missing"]
    assert (item["item"], item["part"], item["kind"]) == ("127", "1", "unparsed")
    assert sum(row["failed"] is None for row in found.values()) == 4
    loose, code = rows_of("--benchmark", "mt_bench", "--verdicts", path, "--max-missing", "0.1")
    assert code == 0
    assert loose["mistral-7b_dolphin_orca_labonne_dpo"]["score"] == pytest.approx(7.4897, abs=5e-5)


def test_the_screen_fits_80_columns_and_names_every_failure(shared_data):
    found = call("--benchmark", "mt_bench", "--verdicts", shared_data / "mt_bench/with_errors_gpt-4_single.jsonl.gz")
    lines = found.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("missing:") for line in lines) == 15
    assert any(line.startswith("FAILED mistral-7b_dolphin_orca_labonne_dpo") for line in lines)


def verdict(number, preference=1.0, **more):
    line = {"prompt_id": f"p{number}", "model": "m", "baseline": "b", "judge_key": "j", "order": None}
    lengths = {"length_model": 10 + number % 7, "length_baseline": 12 + number % 5}
    return line | {"preference": preference} | lengths | more


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_our_own_verdicts_of_any_benchmark_give_what_the_board_gives(tmp_path):
    from harness.aggregate import estimate

    lines = [verdict(n, float(n % 3 == 0), score=float(n % 2)) for n in range(60)]
    found = rows("builtin:microtasks", write(tmp_path / "v.jsonl", lines))["m"]
    for key, value in estimate(lines, whole_only=True).items():
        assert found[key] == value, key
    assert found["length_control"] == "own"


def test_duplicates_are_an_error_that_names_both_unless_told_which_to_take(tmp_path):
    lines = [verdict(n, 0.0) for n in range(30)] + [verdict(4, 1.0)]
    path = write(tmp_path / "v.jsonl", lines)
    with pytest.raises(ConfigError, match=r'"p4": .*item 5 and .*item 31'):
        rows("mine:x", path)
    assert rows("mine:x", path, duplicates="first")["m"]["n_wins"] == 0
    last = rows("mine:x", path, duplicates="last")["m"]
    assert (last["n_wins"], last["n"]) == (1, 30)
    assert any("1 repeated" in note for note in last["notes"])


def test_an_appended_rerun_of_mt_bench_is_not_averaged_with_the_old_rows(shared_data, tmp_path):
    text = gzip.decompress((shared_data / "mt_bench/clean_gpt-4_single.jsonl.gz").read_bytes()).decode()
    path = tmp_path / "appended.jsonl"
    path.write_text(text + text.splitlines()[0] + "\n")
    with pytest.raises(ConfigError, match="turn"):
        rows("mt_bench", path)


def test_a_row_of_two_judges_or_baselines_is_refused(tmp_path):
    two = [verdict(n, judge_key=f"j{n % 2}") for n in range(20)]
    with pytest.raises(ConfigError, match="2 values of judge: j0, j1"):
        rows("mine:x", write(tmp_path / "a.jsonl", two))
    two = [verdict(n, float(n % 2), baseline=f"b{n % 2}") for n in range(20)]
    path = write(tmp_path / "b.jsonl", two)
    with pytest.raises(ConfigError, match="2 values of baseline"):
        rows("mine:x", path)
    assert rows("mine:x", path, baseline="b1")["m"]["win_rate"] == 100
    with pytest.raises(ConfigError, match="against"):
        rows("mine:x", path, baseline="nobody")


def test_two_models_in_one_file_do_not_share_a_score(tmp_path):
    lines = [verdict(n, float(model == "x"), model=model) for model in "xy" for n in range(20)]
    found = rows("mine:x", write(tmp_path / "v.jsonl", lines))
    assert (found["x"]["win_rate"], found["y"]["win_rate"]) == (100, 0)


def test_an_infrastructure_error_is_never_a_loss(tmp_path):
    lines = [verdict(n, 1.0) for n in range(200)]
    lines[5] |= {"preference": None, "error": "HTTP 500"}
    found = rows("mine:x", write(tmp_path / "v.jsonl", lines))["m"]
    assert (found["win_rate"], found["n"], found["n_missing"]) == (100, 199, 1)
    assert found["missing_by_kind"] == {"infrastructure": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("[]", "empty list"),
        ("[1]", "item 1: not an object"),
        ('{"a": 1}\n', "no known format"),
        ('{"prompt_id": "p", "model": "m", "preference": 1}\nnonsense\n{}\n', "item 2: not valid JSON"),
        ('{"prompt_id": "p", "model": "m", "preference": 1}\n{"prompt_id": "q"}\n', "item 2.*no model, preference"),
        ('[{"instruction": "i", "output": "o", "generator": "g"}]', "model outputs, which have no verdicts"),
        ('{"model": "m", "question_id": 1, "turn": 1, "judgment": "[[5]]"}\n', "holds MT-Bench judgments"),
    ],
)
def test_a_wrong_mixed_or_empty_file_is_an_error_that_names_file_and_item(text, message, tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        rows("alpaca_eval", path)
    assert "file.jsonl" in raised.value.message


def test_files_of_different_formats_and_a_cut_gzip_are_errors(tmp_path, shared_data):
    own = write(tmp_path / "v.jsonl", [verdict(1)])
    with pytest.raises(ConfigError, match=r"holds MT-Bench judgments, and .*bridgebench verdicts"):
        rows("mt_bench", own, shared_data / "mt_bench/clean_gpt-4_single.jsonl.gz")
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes((shared_data / "alpaca_eval/phi-2-sft.annotations.json.gz").read_bytes()[:5000])
    with pytest.raises(ConfigError, match="cannot be unpacked"):
        rows("alpaca_eval", cut)


def test_a_torn_last_line_is_dropped_and_a_preference_off_the_scale_is_not(tmp_path):
    path = write(tmp_path / "v.jsonl", [verdict(n, float(n % 2)) for n in range(10)])
    path.write_text(path.read_text() + '{"prompt_id": "p10", "mod')
    assert rows("mine:x", path)["m"]["n"] == 10
    wrong = tmp_path / "a.json"
    wrong.write_text('[{"generator_1": "a", "generator_2": "b", "instruction": "i", "preference": 3}]')
    with pytest.raises(IntegrityError, match=r"a\.json, item 1: preference 3"):
        rows("alpaca_eval", wrong)


def test_settings_that_do_not_go_together_and_near_misses_are_refused(tmp_path):
    path = write(tmp_path / "v.jsonl", [verdict(1)])
    assert call("--benchmark", "mt_bench", "--verdicts", path, "--length-control", "official").exit_code == 2
    assert "Did you mean" in call("--benchmark", "alpaca_evl", "--verdicts", path).stderr
    assert call("--benchmark", "alpaca_eval", "--verdicts", path, "--difficulty", path).exit_code == 2
    assert call("--benchmark", "alpaca_eval", "--verdicts", path, "--gamed", path).exit_code == 2
    assert call("--benchmark", "mine:x", "--verdicts", path, "--max-missing", "7").exit_code == 2


def test_a_failed_row_leaves_the_others_as_they_are(tmp_path):
    good = [verdict(n, float(n % 2), model="good") for n in range(50)]
    bad = [verdict(n, None if n < 5 else 1.0, model="bad") for n in range(50)]
    alone = rows("mine:x", write(tmp_path / "g.jsonl", good))["good"]
    both, code = rows_of("--benchmark", "mine:x", "--verdicts", write(tmp_path / "b.jsonl", good + bad))
    assert code == 1
    assert both["good"] == json.loads(json.dumps(alone))
    assert (both["bad"]["win_rate"], both["bad"]["n"]) == (None, 45)


def test_both_orders_of_our_judge_count_once_per_prompt(tmp_path):
    lines = [
        verdict(n, float(order == "model_first") if n < 10 else 1.0, order=order)
        for n in range(40)
        for order in ("baseline_first", "model_first")
    ]
    found = rows("mine:x", write(tmp_path / "v.jsonl", lines))["m"]
    assert (found["n"], found["n_draws"], found["position_consistency"]) == (40, 10, 75)


def test_a_missing_order_is_a_missing_verdict_named_with_its_order(tmp_path):
    lines = [verdict(n, float(n % 2), order=order) for n in range(40) for order in ("baseline_first", "model_first")]
    lines[6]["preference"] = None
    found = rows("mine:x", write(tmp_path / "v.jsonl", lines[:-1]), max_missing=0.05)["m"]
    assert (found["n"], found["n_missing"]) == (38, 2)
    assert [(item["item"], item["part"], item["kind"]) for item in found["missing"]] == [
        ("p3", "baseline_first", "unparsed"),
        ("p39", "model_first", "absent"),
    ]


def test_our_own_games_weigh_as_their_labels_say_and_must_agree_with_them(tmp_path):
    both = ("baseline_first", "model_first")
    lines = [
        verdict(n, 1.0, order=order, label=label)
        for n in range(9)
        for order, label in zip(both, ("B>>A", "A>B"), strict=True)
    ]
    lines += [verdict(n, 0.0, order=both[1], label="B>A") for n in range(9, 12)]
    found = rows("arena_hard", write(tmp_path / "v.jsonl", lines), max_missing=0.5)["m"]
    assert found["win_rate"] == pytest.approx(100 * 36 / 39)
    assert (found["n"], found["n_games"], found["n_wins_base"]) == (12, 21, 3)
    with pytest.raises(ConfigError, match="does not mean"):
        rows("arena_hard", write(tmp_path / "w.jsonl", [lines[0] | {"preference": 0.0}]))


def test_our_own_ratings_are_scored_as_mt_benchs(tmp_path):
    lines = [verdict(q, None, turn=t, rating=5.0 + t, score=(4.0 + t) / 9) for q in range(20) for t in (1, 2)]
    found = rows("mt_bench", write(tmp_path / "r.jsonl", lines))["m"]
    assert (found["score"], found["turn_1"], found["turn_2"], found["n"]) == (6.5, 6, 7, 40)
    for line in lines:
        del line["rating"]
    assert rows("mt_bench", write(tmp_path / "s.jsonl", lines))["m"]["score"] == pytest.approx(6.5)


def test_half_an_mt_bench_is_not_a_score(tmp_path):
    lines = [verdict(q, None, turn=1, rating=9.0) for q in range(80)]
    found = rows("mt_bench", write(tmp_path / "r.jsonl", lines))["m"]
    assert (found["score"], found["missing_by_kind"]) == (None, {"absent": 80})


def test_the_screen_of_rates_is_aligned(tmp_path):
    lines = [verdict(n, float(n % 2), model=name) for name in ("x", "a-rather-long-name-" * 3) for n in range(40)]
    found = scoring.score(scoring.Request("mine:x", [write(tmp_path / "v.jsonl", lines)]))
    lines = report.text(found, "mine:x").splitlines()
    assert max(map(len, lines)) <= 80
    assert len({line.index("50.00") for line in lines[1:3]}) == 1


def test_intervals_are_seeded(tmp_path):
    generator = np.random.default_rng(0)
    path = write(tmp_path / "v.jsonl", [verdict(n, float(generator.random())) for n in range(60)])
    one, again, other = (rows("mine:x", path, seed=seed)["m"]["win_rate_low"] for seed in (0, 0, 1))
    assert one == again != other


def numbered(preference, name="q-{}", orders=(None,)):
    lines = []
    for n in range(805):
        more = {"prompt_id": name.format(n), "length_model": 500 + 13 * n % 400, "length_baseline": 600 + 7 * n % 300}
        lines += [verdict(n, preference(n, order), **more, order=order) for order in orders]
    return lines


def test_both_orders_of_our_judge_enter_alpaca_evals_fit_as_their_mean(extra, tmp_path):
    single = rows("alpaca_eval", write(tmp_path / "a.jsonl", numbered(lambda n, _: (n % 4) / 3)), lc_draws=20, **extra)
    both = numbered(
        lambda n, order: min(1.0, max(0.0, (n % 4) / 3 + (0.0 if n % 4 in (0, 3) else 0.1 if order == "ab" else -0.1))),
        orders=("ab", "ba"),
    )
    found = rows("alpaca_eval", write(tmp_path / "b.jsonl", both), lc_draws=20, **extra)["m"]
    assert found["n"] == 805
    assert found["lc_win_rate"] == pytest.approx(single["m"]["lc_win_rate"], abs=1e-3)


def test_prompt_ids_whose_numbers_repeat_are_not_taken_for_the_benchmarks_numbers(extra, tmp_path):
    lines = numbered(lambda n, _: float(n % 2))
    lines[0]["prompt_id"] = "other-5"
    found = rows("alpaca_eval", write(tmp_path / "a.jsonl", lines), lc_draws=20, **extra)["m"]
    assert found["lc_win_rate"] is None
    assert "which of the benchmark's instructions" in found["lc_reason"]


def test_a_score_without_a_preference_is_missing_in_a_row_of_preferences(tmp_path):
    lines = [verdict(n, float(n % 2), score=1.0) for n in range(30)]
    lines[3] |= {"preference": None, "error": "the baseline's completion failed"}
    found = rows("mine:x", write(tmp_path / "v.jsonl", lines), max_missing=0.1)["m"]
    assert (found["n"], found["n_missing"], found["missing_by_kind"]) == (29, 1, {"infrastructure": 1})
    scores = [verdict(n, None, score=float(n % 2)) for n in range(30)]
    found = rows("mine:x", write(tmp_path / "s.jsonl", scores))["m"]
    assert (found["pass_rate"], found["win_rate"], found["failed"]) == (50, None, None)


@pytest.mark.parametrize("wrong", [{"preference": 1.5}, {"preference": "A"}, {"score": -1}, {"rating": 11.0}])
def test_a_figure_off_its_scale_is_refused_with_file_and_item(wrong, tmp_path):
    path = write(tmp_path / "v.jsonl", [verdict(0), verdict(1) | wrong])
    for benchmark in ("mine:x", "arena_hard", "alpaca_eval"):
        with pytest.raises(IntegrityError, match=r"v\.jsonl, item 2"):
            rows(benchmark, path)


def test_a_models_name_cannot_command_the_terminal(tmp_path):
    lines = [verdict(n, float(n % 2), model="\x1b[31mred[bold]") for n in range(20)]
    found = call("--benchmark", "mine:x", "--verdicts", write(tmp_path / "v.jsonl", lines))
    assert "\x1b" not in found.stdout
    assert "?[31mred[bold]" in found.stdout
