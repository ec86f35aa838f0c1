"""Boards from evidence alone: build, check, diff, compare, reproduce, and what leaves the house."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import harness
from harness import board_evidence as evidence
from harness import files, verify
from harness.board_evidence import Board, PublishedEvidence
from harness.boards import board_diff, check, composite, head_to_head, recompute
from harness.boards.board_file import BoardFile
from harness.cli import bridgebench
from harness.config import Recipe
from harness.errors import BridgebenchError, ConfigError
from harness.publishing import formats
from harness.store import Store
from tests.test_smoke import ROOT

QUICKSTART = ROOT / "leaderboards" / "quickstart"
PUBLISHED = sorted(path.parent for path in (ROOT / "leaderboards").glob("*/data.json"))


def run(store: Path, *arguments: object, check: int = 0) -> Result:
    done = CliRunner().invoke(bridgebench, ["--results", str(store), *map(str, arguments)])
    assert done.exit_code == check, done.output
    return done


def opened(directory: Path) -> Board:
    return Board(directory, PublishedEvidence(directory))


@pytest.fixture(scope="module")
def original() -> Board:
    return opened(QUICKSTART)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The quickstart's data and evidence, to spoil."""
    target = tmp_path / "copy"
    shutil.copytree(QUICKSTART, target, ignore=shutil.ignore_patterns("rows", "figures", "pages", "index.html"))
    return target


def edited(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = files.read_json(directory / "data.json")
    change(data)
    files.write_json(directory / "data.json", data)


def with_verdicts(directory: Path, row: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Board:
    """The board after ``change`` to every verdict of ``row``, its figures computed anew."""
    found = opened(directory)
    path = directory / "evidence" / found.stage_keys(row)["judge"] / "verdicts.jsonl.gz"
    files.write_jsonl(path, [change(verdict) for verdict in files.read_jsonl(path)])
    edited(
        directory, lambda data: next(r for r in data["rows"] if r["row"] == row).update(recompute.estimates(found, row))
    )
    return opened(directory)


@pytest.mark.parametrize("directory", PUBLISHED, ids=lambda path: path.name)
def test_every_published_board_follows_from_its_evidence(directory: Path) -> None:
    problems, checked = check.run(opened(directory))
    assert [problem for problem in problems if problem.fatal] == []
    assert checked > len(opened(directory).rows)


def spoil_rate(data: dict[str, Any]) -> None:
    data["rows"][1]["pass_rate"] += 0.1


def spoil_part(data: dict[str, Any]) -> None:
    data["rows"][1]["by_split"]["in"]["win_rate_low"] -= 0.1


def spoil_rank(data: dict[str, Any]) -> None:
    data["rows"][1]["rank"] = 7


def spoil_setting(data: dict[str, Any]) -> None:
    data["rows"][1]["learning_rate"] = 0.5


def spoil_comparison(data: dict[str, Any]) -> None:
    data["comparison"]["pairs"][0]["p"] = 0.001


def test_check_names_what_no_longer_follows(copied: Path, tmp_path: Path) -> None:
    for spoil in (spoil_rate, spoil_part, spoil_rank, spoil_setting, spoil_comparison):
        edited(copied, spoil)
    table = copied / "leaderboard.csv"
    table.write_text(table.read_text().replace("sft", "SFT", 1))
    verdicts = next((copied / "evidence" / "judge").glob("*/verdicts.jsonl.gz"))
    files.write_jsonl(verdicts, files.read_jsonl(verdicts)[:-1])
    said = run(tmp_path, "leaderboard", "check", copied, check=4).output
    for wrong in (
        ".pass_rate: the board says",
        ".by_split.in.win_rate_low: the board says",
        ".rank: the board says 7",
        ".learning_rate: the board says 0.5",
        "comparison on microtasks.pairs: differs",
        "leaderboard.csv: is not what data.json gives",
        "verdicts.jsonl: differs from its manifest",
    ):
        assert wrong in said


def test_an_empty_board_is_a_clear_error(tmp_path: Path) -> None:
    files.write_json(tmp_path / "empty" / "data.json", {"board": "empty", "rows": []})
    assert "has no rows" in run(tmp_path, "leaderboard", "check", tmp_path / "empty", check=2).output
    (tmp_path / "e.yaml").write_text("board: e\nrows: []\n")
    assert "rows: List should have at least 1 item" in run(
        tmp_path, "leaderboard", "build", tmp_path / "e.yaml", check=2
    ).output  # fmt: skip
    assert (
        'no board "quickstrat". Did you mean "quickstart"'
        in run(tmp_path, "publish", "quickstrat", "--to", "csv", check=2).output
    )


FILE = """
board: ours
rows: [{where}/base, {{board: {where}, rows: [sft, sft+dpo], rename: {{sft: plain}}}}]
columns: [pass_rate]
references:
- {{source: "alpaca_eval:data_AlpacaEval_2/weighted_alpaca_eval_gpt4_turbo", rows: [phi-2-sft, gpt4_1106_preview]}}
"""


def test_a_board_file_makes_a_board_of_its_own_that_can_be_checked(tmp_path: Path, original: Board) -> None:
    (tmp_path / "ours.yaml").write_text(FILE.format(where=QUICKSTART))
    run(tmp_path, "leaderboard", "build", tmp_path / "ours.yaml", "--to", tmp_path / "out")
    made = opened(tmp_path / "out")
    assert list(made.rows) == ["base", "plain", "sft+dpo"]
    assert made.rows["plain"]["pass_rate"] == original.rows["sft"]["pass_rate"]
    assert made.rows["plain"]["win_rate"] is None  # not among the columns
    assert made.rows["plain"]["origin"] == "quickstart/sft"
    (table,) = made.data["reference_tables"]
    assert table["note"] == "not measured here"
    assert [row["row"] for row in table["rows"]] == ["gpt4_1106_preview", "phi-2-sft"]
    assert round(table["rows"][1]["win_rate"], 4) == 3.9776  # as AlpacaEval publishes it
    assert " 0 wrong" in run(tmp_path, "leaderboard", "check", tmp_path / "out").output
    assert " 0 wrong" in run(tmp_path, "verify", tmp_path / "out").output
    assert "not measured here" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([f"{QUICKSTART}/sfd"], 'no row "sfd". Did you mean "sft"'),
        ([f"{QUICKSTART}/sft", f"{QUICKSTART}/sft"], 'two rows called "sft"'),
        (["nowhere"], 'no board "nowhere"'),
    ],
)
def test_a_board_file_that_cannot_be_is_told(tmp_path: Path, rows: list[str], said: str) -> None:
    with pytest.raises(BridgebenchError, match=said):
        composite.build(BoardFile.model_validate({"board": "x", "rows": rows}), Store(tmp_path))


def test_rows_that_answered_other_prompts_do_not_stand_together(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "evidence" / "tokenize").glob("*/manifest.json"):
        files.write_json(path, files.read_json(path) | {"identity": {"rows_sha256": "others"}})
    mixed = {"board": "x", "rows": [f"{QUICKSTART}/base", {"board": str(copied), "rows": ["sft"]}]}
    with pytest.raises(ConfigError, match="sft answered other prompts than base"):
        composite.build(BoardFile.model_validate(mixed), Store(tmp_path))


def test_a_board_does_not_differ_from_itself(original: Board) -> None:
    found = board_diff.difference(original, original)
    assert found.text() == "no difference"
    assert found.as_json()["changed"] == []


def test_diff_tells_a_real_change_from_noise(copied: Path, original: Board) -> None:
    def fail_all(verdict: dict[str, Any]) -> dict[str, Any]:
        return {**verdict, "score": 0.0}

    first = original.verdicts("sft+dpo")[0]["prompt_id"]

    def flip_one(verdict: dict[str, Any]) -> dict[str, Any]:
        return {**verdict, "score": 1.0 - (verdict["score"] == 1.0)} if verdict["prompt_id"] == first else verdict

    with_verdicts(copied, "sft", fail_all)
    with_verdicts(copied, "sft+dpo", flip_one)
    edited(copied, lambda data: data["rows"].pop())
    found = board_diff.difference(original, opened(copied))
    assert found.removed == [list(original.rows)[-1]]
    changes = {change.row: change for change in found.changed}
    assert set(changes) == {"sft", "sft+dpo"}
    large, small = changes["sft"].test, changes["sft+dpo"].test
    assert large is not None
    assert small is not None
    assert large["significant"]
    assert not small["significant"]
    assert large["difference"] == pytest.approx(-original.rows["sft"]["pass_rate"])
    assert abs(small["difference"]) == pytest.approx(100 / original.rows["sft"]["n"])
    assert "(significant: pass_rate" in found.text()


def test_two_rows_are_compared_prompt_by_prompt(original: Board) -> None:
    found = head_to_head.compare((original, "sft"), (original, "base"))
    back = head_to_head.compare((original, "base"), (original, "sft"))
    tests = {test["metric"]: test for test in found["tests"]}
    for metric in ("pass_rate", "win_rate"):
        gap = original.rows["sft"][metric] - original.rows["base"][metric]
        assert tests[metric]["difference"] == pytest.approx(gap)
    assert [-test["difference"] for test in back["tests"]] == pytest.approx([t["difference"] for t in found["tests"]])
    assert len(found["prompts"]) == original.rows["sft"]["n"]
    scored = [prompt for prompt in found["prompts"] if prompt["score_a"] == 1.0]
    assert 100 * len(scored) / len(found["prompts"]) == pytest.approx(original.rows["sft"]["pass_rate"])
    assert "better on" in head_to_head.text(found)


def test_reproduce_prints_a_recipe_that_plans_the_same_rows(tmp_path: Path, original: Board) -> None:
    text = run(tmp_path, "reproduce", f"{QUICKSTART}/sft+dpo").output
    assert f"git checkout {original.data['commits'][0]}" in text
    assert all(key in text for key in original.stage_keys("sft+dpo").values())
    inside = text.partition("<<'RECIPE'\n")[2].partition("\nRECIPE\n")[0]
    assert Recipe.model_validate(yaml.safe_load(inside)) == Recipe.model_validate(original.data["recipe"])
    assert "names no row" in run(tmp_path, "reproduce", "quickstart", check=2).output


def test_every_table_format_says_the_same(tmp_path: Path, original: Board) -> None:
    assert formats.render(original, "csv") == (QUICKSTART / "leaderboard.csv").read_text()
    assert json.loads(formats.render(original, "json")) == original.data
    latex = formats.render(original, "latex")
    assert latex.count(r"\\") == len(original.rows) + 1
    for row in original.rows.values():
        assert f"{row['pass_rate']:.1f} [" in latex
    hostile = {**original.data, "title": r"50% & \input{x} #1_a"}
    assert r"50\% \& \textbackslash{}input\{x\} \#1\_a" in formats.latex(hostile, original.data["rows"])
    run(tmp_path, "publish", QUICKSTART, "--to", "md", "--out", tmp_path / "a" / "t.md")
    assert (tmp_path / "a" / "t.md").read_text() == (QUICKSTART / "leaderboard.md").read_text()


def test_exported_annotations_give_the_same_win_rate_in_alpaca_eval(tmp_path: Path, original: Board) -> None:
    metrics = pytest.importorskip("alpaca_eval.metrics")
    run(tmp_path, "publish", QUICKSTART, "--to", "alpaca_eval", "--row", "sft", "--out", tmp_path / "out")
    annotations = files.read_json(tmp_path / "out" / "results" / "sft" / "annotations.json")
    outputs = files.read_json(tmp_path / "out" / "results" / "sft" / "model_outputs.json")
    assert {row["generator"] for row in outputs} == {"sft"}
    assert len(outputs) == len(annotations) == original.rows["sft"]["n"]
    theirs = metrics.get_winrate(annotations)
    assert theirs["win_rate"] == pytest.approx(original.rows["sft"]["win_rate"])
    assert theirs["standard_error"] == pytest.approx(original.rows["sft"]["standard_error"])


def test_a_board_is_a_data_frame_in_three_lines(original: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table = harness.load_board("quickstart", results="no-such-store")
    assert table.loc["sft", "pass_rate"] == original.rows["sft"]["pass_rate"]
    assert table.loc["sft", "stage/judge"] == original.stage_keys("sft")["judge"]
    part = harness.load_board("quickstart", results="no-such-store", part="in")
    assert part.loc["sft", "pass_rate"] == original.rows["sft"]["by_split"]["in"]["pass_rate"]
    verdicts = harness.load_verdicts("quickstart/sft", results="no-such-store")
    assert 100 * (verdicts["score"] == 1).mean() == pytest.approx(table.loc["sft", "pass_rate"])


def test_a_published_board_is_rebuilt_in_place_with_its_evidence(tmp_path: Path, copied: Path, original: Board) -> None:
    edited(copied, spoil_rate)
    edited(copied, lambda data: data.update(rows=[row for row in data["rows"] if row["row"] in ("base", "sft")]))
    run(tmp_path, "leaderboard", "build", copied)
    assert opened(copied).rows["sft"]["pass_rate"] == original.rows["sft"]["pass_rate"]
    assert (copied / "index.html").is_file()
    assert " 0 wrong" in run(tmp_path, "leaderboard", "check", copied).output
    target = tmp_path / "site"
    run(tmp_path, "publish", copied, "--to", target, "--workflow")
    workflow = yaml.safe_load((target / ".github" / "workflows" / "pages.yml").read_text())
    assert workflow["jobs"]["publish"]["steps"][-1]["uses"].startswith("actions/deploy-pages")
    assert verify.run(Store(tmp_path), str(target))[0] == verify.run(Store(tmp_path), str(copied))[0]


def test_boards_are_found_by_name_in_the_store_before_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    store = Store(tmp_path)
    assert evidence.board("quickstart", store).directory == Path("leaderboards/quickstart")
    shutil.copytree(QUICKSTART, tmp_path / "boards" / "quickstart", ignore=shutil.ignore_patterns("evidence", "rows"))
    assert evidence.board("quickstart", store).directory == tmp_path / "boards" / "quickstart"
