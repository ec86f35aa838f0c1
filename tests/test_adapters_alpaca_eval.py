"""AlpacaEval's files: its own reader and its own win rate give our numbers."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from harness.adapters import alpaca_eval
from harness.aggregate import estimate
from harness.errors import ConfigError, IntegrityError

COUNTS = ("n_wins", "n_wins_base", "n_draws")
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "alpaca_eval"


def official(annotations):
    """alpaca_eval's own estimate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, at import
        metrics = pytest.importorskip("alpaca_eval.metrics", reason="alpaca-eval is not installed")
    return metrics.get_winrate(annotations)


def completion(number, text):
    messages = [{"role": "user", "content": f"Write “{number}” – ünd <b>"}]
    return {"prompt_id": f"p{number}", "messages": messages, "text": text}


def written(preferences, folder):
    """Verdicts with these preferences, and their annotations.json read back."""
    verdicts = [
        {
            "prompt_id": f"p{number}",
            "judge_key": "judge/1",
            "model": "sft",
            "baseline": "base",
            "preference": preference,
            "score": None,
            "family": "lists",
            "part": "in",
        }
        for number, preference in enumerate(preferences)
    ]
    own = [completion(number, f"mine {number}") for number in range(len(preferences))]
    base = [completion(number, f"theirs\n{number}") for number in range(len(preferences))]
    path = folder / "annotations.json"
    alpaca_eval.write_annotations(verdicts, own, base, path)
    return verdicts, json.loads(path.read_text("utf-8"))


def same(ours, theirs):
    for key in COUNTS:
        assert ours[key] == theirs[key]
    assert ours["n"] == theirs["n_total"]
    for key in ("win_rate", "discrete_win_rate", "standard_error"):
        if ours[key] is None:
            assert math.isnan(theirs[key])
        else:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-9)


GENERATOR = np.random.default_rng(0)
CASES = {
    "hard": GENERATOR.integers(0, 2, 300).astype(float),
    "hard with ties": GENERATOR.choice([0, 0.5, 1], 300),
    "soft": GENERATOR.random(300),
    "soft with ties": np.where(GENERATOR.random(300) < 0.3, 0.5, GENERATOR.beta(0.2, 0.3, 300)),
    "next to one half": np.nextafter(0.5, np.repeat([0, 1, 0.5], 5)),
    "one hair more": 0.5 + np.arange(-4, 5) * 2.0**-53,
    "ties only": np.full(7, 0.5),
    "losses only": np.zeros(7),
    "wins only": np.ones(7),
    "a single row": np.array([0.25]),
    "a single tie": np.array([0.5]),
}


@pytest.mark.parametrize("preferences", CASES.values(), ids=CASES.keys())
def test_alpaca_evals_own_win_rate_of_our_file_is_ours(preferences, tmp_path):
    verdicts, annotations = written([float(value) for value in preferences], tmp_path)
    same(estimate(verdicts, draws=200), official(annotations))


def test_a_missing_verdict_is_null_in_the_file_and_counted_by_us(tmp_path):
    verdicts, annotations = written([1.0, None, 0.5, 0.0], tmp_path)
    assert annotations[1]["preference"] is None
    ours = estimate(verdicts, draws=200)
    assert (ours["n"], ours["n_missing"]) == (3, 1)
    same(ours, official([line for line in annotations if line["preference"] is not None]))


def test_an_annotation_has_the_official_keys_with_the_baseline_first(tmp_path):
    _, annotations = written([0.75], tmp_path)
    assert annotations == [
        {
            "instruction": "Write “0” – ünd <b>",
            "output_1": "theirs\n0",
            "generator_1": "base",
            "dataset": "lists",
            "output_2": "mine 0",
            "generator_2": "sft",
            "annotator": "judge/1",
            "preference": 1.75,
            "raw_completion": None,
        }
    ]


def test_model_outputs_have_the_official_keys(tmp_path):
    path = tmp_path / "model_outputs.json"
    alpaca_eval.write_model_outputs([completion(3, "text")], path, generator="sft+dpo", dataset="mine")
    assert json.loads(path.read_text("utf-8")) == [
        {"instruction": "Write “3” – ünd <b>", "output": "text", "generator": "sft+dpo", "dataset": "mine"}
    ]


def test_a_conversation_is_written_out_with_its_roles():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert alpaca_eval.instruction({"messages": messages}) == "system: Be brief.\n\nuser: Hi"


def test_a_verdict_without_its_completion_is_an_error(tmp_path):
    lines = [{"prompt_id": "p9", "preference": 1.0, "model": "a", "baseline": "b", "judge_key": "k"}]
    with pytest.raises(ConfigError, match="p9"):
        alpaca_eval.write_annotations(lines, [], [], tmp_path / "annotations.json")
    assert not list(tmp_path.iterdir())


def test_written_preferences_are_read_back_and_the_old_zero_is_a_draw(tmp_path):
    written([0.0, 0.25, 1.0, None], tmp_path)
    assert alpaca_eval.read_preferences(tmp_path / "annotations.json") == [0.0, 0.25, 1.0, None]
    (tmp_path / "old.json").write_text('[{"preference": 0}, {"preference": 2}, {"preference": 3}]')
    with pytest.raises(IntegrityError, match="annotation 2"):
        alpaca_eval.read_preferences(tmp_path / "old.json")
    (tmp_path / "old.json").write_text('[{"preference": 0}, {"preference": 2}]')
    assert alpaca_eval.read_preferences(tmp_path / "old.json") == [0.5, 1.0]


def test_the_published_win_rates_of_29_models_are_ours():
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is missing")
    import pandas as pd

    from harness.stats.win_rate import win_rate

    board = pd.read_csv(SHARED / "leaderboard.csv", index_col=0)
    annotations = pd.read_parquet(SHARED / "annotations.parquet")
    models = 0
    for name, rows in annotations.groupby("model"):
        ours, published = win_rate(rows["preference"].to_numpy(float) - 1), board.loc[name]
        for key in ("win_rate", "standard_error", "discrete_win_rate", *COUNTS):
            assert getattr(ours, key) == pytest.approx(published[key], abs=1e-6), (name, key)
        assert ours.n == published["n_total"]
        models += 1
    assert models == 29


@pytest.fixture(scope="module")
def theirs():
    """The alpaca_eval package, and its settings as they were."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, at import
        package = pytest.importorskip("alpaca_eval", reason="alpaca-eval is not installed")
        import alpaca_eval.main  # noqa: F401
        import sklearn
    before = sklearn.get_config()["enable_metadata_routing"]
    yield package
    sklearn.set_config(enable_metadata_routing=before)


ROWS = [
    {"model": "b", "n": 10, "win_rate": 20.0, "standard_error": 2.0, "lc_win_rate": 25.0, "mean_length": 99.5},
    {"model": "failed", "n": 3, "win_rate": None},
    {"model": 'a,"x"', "n": 10, "win_rate": 30.0, "standard_error": 1.0, "lc_win_rate": None, "n_wins": 3},
    {"model": "c", "n": 10, "win_rate": 40.0, "standard_error": 3.0, "lc_win_rate": 45.0, "n_draws": 0},
]


def test_alpaca_evals_own_leaderboard_takes_ours_with_its_columns_in_its_order(theirs, tmp_path):
    path = tmp_path / "leaderboard.csv"
    alpaca_eval.write_leaderboard(ROWS, path)
    header = path.read_text().splitlines()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its use of pandas
        frame, _ = theirs.evaluate(
            model_outputs=None,
            precomputed_leaderboard=str(path),
            output_path=None,
            is_return_instead_of_print=True,
            leaderboard_mode_to_print=None,
        )
    assert list(frame.index) == ["c", "b", 'a,"x"']  # sorted by the length-controlled rate, which the last lacks
    assert frame.loc["c", "length_controlled_winrate"] == 45
    assert frame.loc['a,"x"', "win_rate"] == 30
    assert "failed" not in frame.index
    if SHARED.exists():
        official = (SHARED / "leaderboard.csv").read_text().splitlines()[0]
        assert header == official


def test_alpaca_evals_own_length_controlled_rate_of_our_annotations_is_our_official_one(theirs, tmp_path, monkeypatch):
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is missing")
    from alpaca_eval.metrics import glm_winrate

    from harness.score import Request, score

    gamed = SHARED / "df_gamed_reconstructed.csv"
    monkeypatch.setattr(glm_winrate, "hf_hub_download", lambda **_: str(gamed))  # the stand-in for the hub's file
    own, base = (
        alpaca_eval.read_model_outputs(SHARED / f"{name}.model_outputs.json.gz")
        for name in ("phi-2-sft", "gpt4_1106_preview")
    )
    import pandas as pd

    table = pd.read_parquet(SHARED / "annotations.parquet").query("model == 'phi-2-sft'")
    verdicts = [
        {"prompt_id": line["prompt_id"], "model": "phi-2-sft", "baseline": "b", "judge_key": "j", "preference": x - 1}
        for line, x in zip(own, table["preference"], strict=True)
    ]
    verdicts[50]["preference"] = None  # a NaN row keeps its place
    path = tmp_path / "annotations.json"
    alpaca_eval.write_annotations(verdicts, own, base, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = theirs.metrics.get_length_controlled_winrate(
            theirs.utils.load_or_convert_to_dataframe(path), save_weights_dir=None
        )
    (ours,) = score(Request("alpaca_eval", [path], length_control="official", gamed=gamed, lc_draws=20))
    assert ours["lc_win_rate"] == pytest.approx(found["length_controlled_winrate"], abs=1e-6)
    assert ours["lc_spread"] == pytest.approx(found["lc_standard_error"], abs=1e-6)
    assert ours["win_rate"] == pytest.approx(found["win_rate"], abs=1e-9)


def test_model_outputs_are_read_back_and_an_item_without_output_is_named(tmp_path):
    path = tmp_path / "model_outputs.json"
    alpaca_eval.write_model_outputs([completion(3, "text")], path, generator="g")
    (line,) = alpaca_eval.read_model_outputs(path)
    assert (line["text"], line["model"], line["messages"][0]["content"]) == ("text", "g", "Write “3” – ünd <b>")
    path.write_text('[{"instruction": "i", "output": "o"}, {"instruction": "i"}]')
    with pytest.raises(ConfigError, match="item 2"):
        alpaca_eval.read_model_outputs(path)
