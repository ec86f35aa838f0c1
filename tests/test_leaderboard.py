"""A board's files: complete, escaped, the same bytes each time, and never half-written."""

import csv
import io
import json
import os
import re
import time
from html.parser import HTMLParser

import pytest

from harness import leaderboard
from harness.errors import BridgebenchError, ConfigError
from harness.leaderboard import axes, curves, display, drifts, fields, pages, sweeps
from tests import leaderboard_content
from tests.leaderboard_content import NAMES


@pytest.fixture(scope="module")
def content():
    return leaderboard_content.content()


@pytest.fixture
def built(demo_board):
    return demo_board


def bare(*names):
    """Rows with a single figure: enough for what a build does with files."""
    return [{"row": name, "win_rate": 50.0} for name in names]


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def html_pages(directory):
    return sorted(directory.rglob("*.html"))


def test_a_board_has_all_its_files(built):
    found = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    expected = {"data.json", "leaderboard.csv", "leaderboard.md", "index.html", "browse.html", "compare.html"}
    expected |= {f"pages/{name}-0.js" for name in (*NAMES, "prompts")} | {"pages/index.js"}
    expected |= {f"rows/{name}.html" for name in NAMES}
    pictures = ("pass_rate", "win_rate", "lc_win_rate", "sweep-pass_rate", "drift-pass_rate", "drift-win_rate")
    for metric in pictures:
        expected |= {f"figures/{metric}.svg", f"figures/{metric}-dark.svg", f"figures/{metric}.png"}
    assert found == expected


def test_the_data_are_complete_unrounded_and_in_one_order(built, content):
    data = json.loads((built / "data.json").read_text("utf-8"))
    assert data["board"] == "demo"
    assert all(tuple(row)[: len(fields.KEYS)] == fields.KEYS for row in data["rows"])
    assert data["rows"][1]["win_rate_low"] == content[1][1]["win_rate_low"]
    assert data["rows"][-1]["failed"] == "train/77aa: loss is not finite"
    assert data["rows"][-1]["win_rate"] is None


def test_the_same_input_gives_the_same_bytes(content, built, tmp_path):
    again = leaderboard_content.build(content, tmp_path / "demo", leaderboard_content.analyses())
    for path in sorted(built.rglob("*")):
        if path.is_file():
            assert (again / path.relative_to(built)).read_bytes() == path.read_bytes(), path.name


def test_the_csv_has_a_line_per_row_and_full_numbers(built, content):
    lines = list(csv.DictReader(io.StringIO((built / "leaderboard.csv").read_text("utf-8"))))
    assert {line["row"] for line in lines} == {*NAMES, "forward-kl"}
    assert [line["row"] for line in lines][-1] == "forward-kl"
    sft = next(line for line in lines if line["row"] == "sft")
    assert float(sft["win_rate"]) == content[1][1]["win_rate"]
    assert float(sft["pass_rate@out"]) == content[1][1]["by_split"]["out"]["pass_rate"]


def test_the_markdown_table_is_rectangular_with_intervals_and_the_failed_row(built):
    text = (built / "leaderboard.md").read_text("utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 5
    assert len({line.count("|") for line in table}) == 1
    assert re.search(r"\| `sft` \| \d+\.\d \[\d+\.\d–\d+\.\d\]", text)
    assert "failed: train/77aa" in text
    assert "Demo & \\<b\\>" in text
    assert "One training seed" in text


def test_nothing_from_outside_becomes_an_element(built):
    for path in html_pages(built):
        elements = Elements(path.read_text("utf-8"))
        assert sum(tag == "script" for tag, _ in elements.tags) <= 4
        forbidden = ("img", "iframe", "object", "link", "base")
        assert not [tag for tag, _ in elements.tags if tag in forbidden]
        attributes = [name for _, found in elements.tags for name in found]
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_pages_ask_for_nothing_from_outside(built):
    for path in html_pages(built):
        elements = Elements(path.read_text("utf-8"))
        for _, attributes in elements.tags:
            for name in ("src", "href", "action", "data", "srcset"):
                assert not re.match(r"(?i)\s*(?:[a-z]+:|//)", attributes.get(name) or "")
        (policy,) = [a["content"] for tag, a in elements.tags if tag == "meta" and "http-equiv" in a]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


def test_the_policy_admits_exactly_the_scripts_and_the_style_of_the_page(built):
    for path in html_pages(built):
        text = path.read_text("utf-8")
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
        scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
        policy = pages.policy(style, scripts)
        assert policy in text.replace("&#39;", "'")
        assert "require-trusted-types-for 'script'" in policy
        assert "{{" not in text


def test_every_link_leads_to_a_page(built):
    from urllib.parse import unquote

    for path in html_pages(built):
        for tag, attributes in Elements(path.read_text("utf-8")).tags:
            if tag == "a" and not attributes["href"].startswith("#"):
                address = unquote(attributes["href"].split("#")[0])
                assert (path.parent / address).exists(), attributes["href"]


def test_cells_carry_the_full_number_to_sort_by(built, content):
    text = (built / "index.html").read_text("utf-8")
    for row in content[1][1:4]:
        assert f'data-sort="{row["win_rate"]!r}"' in text
    assert 'aria-sort="ascending"' in text
    assert "failed: train/77aa: loss is not finite" in text


def test_a_board_without_scores_shows_win_rates_alone(content, tmp_path):
    board, rows, *_ = content
    bare = [{"row": row["row"], "win_rate": row.get("win_rate"), "failed": row.get("failed")} for row in rows]
    destination = leaderboard.build({**board, "comparison": None}, bare, {}, tmp_path / "bare")
    text = (destination / "index.html").read_text("utf-8")
    assert "Pass rate" not in text
    assert "Win rate" in text


def test_a_rebuild_replaces_the_board_whole(tmp_path):
    destination = leaderboard.build({"board": "demo"}, bare("a", "b", "c"), {}, tmp_path / "demo")
    (destination / "rows" / "left-over.html").write_text("old")
    leaderboard.build({"board": "demo"}, bare("a", "b"), {}, destination)
    assert {path.name for path in (destination / "rows").iterdir()} == {"a.html", "b.html"}
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_failure_half_way_leaves_the_old_board_and_nothing_else(tmp_path, monkeypatch):
    destination = leaderboard.build({"board": "demo"}, bare("a"), {}, tmp_path / "demo")
    before = (destination / "data.json").read_bytes()
    monkeypatch.setattr(pages, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        leaderboard.build({"board": "demo", "title": "new"}, bare("a"), {}, destination)
    assert (destination / "data.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_the_next_build_removes_what_a_killed_one_left(tmp_path):
    for name, age in ((".demo-old", 7200), (".demo-running", 10)):
        (tmp_path / name / "board").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    leaderboard.build({"board": "demo"}, bare("a"), {}, tmp_path / "demo")
    assert {path.name for path in tmp_path.iterdir()} == {"demo", ".demo-running"}


def test_a_directory_that_is_no_board_is_not_overwritten(content, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BridgebenchError, match="no board"):
        leaderboard_content.build(content, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_board_and_a_repeated_row_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no rows"):
        leaderboard.build({"board": "demo"}, [], {}, tmp_path / "demo")
    with pytest.raises(ConfigError, match='more than one row called "sft"'):
        leaderboard.build({"board": "demo"}, [{"row": "sft"}, {"row": "sft"}], {}, tmp_path / "demo")
    assert not list(tmp_path.iterdir())


def test_rows_of_other_tables_stand_beside_ours_without_a_rank_or_a_page(built):
    text = (built / "index.html").read_text("utf-8")
    line = re.search(r'<tr class="reference"[^>]*data-row="famous".*?</tr>', text, re.S).group(0)
    assert "not measured here" in line
    assert '<td class="rank" data-sort=""></td>' in line
    assert "61.5" in line
    assert "<a " not in line
    assert "famous" not in (built / "leaderboard.csv").read_text("utf-8")


def test_the_matrix_shows_every_pair_from_both_sides_with_its_significance(built, content):
    text = (built / "index.html").read_text("utf-8")
    table = re.search(r'<table class="matrix">.*?</table>', text, re.S).group(0)
    for pair in content[0]["comparison"]["pairs"]:
        for a, b, sign in ((pair["a"], pair["b"], 1), (pair["b"], pair["a"], -1)):
            lead = display.signed(sign * pair["difference"])
            cell = re.search(rf'<td[^>]*title="{re.escape(f"{a} against {b}: ")}[^"]*">(.*?)</td>', table).group(1)
            assert cell == (f"<b>{lead}*</b>" if pair["significant"] else lead)


def test_the_sweep_joins_rows_that_differ_in_the_learning_rate_alone(content):
    board, rows, *_ = content
    (chart,) = sweeps.views(board, [fields.complete(row) for row in rows])
    assert {line[2] for line in chart["body"]} == {"sft", "pearson-chi2"}
    assert len(chart["lines"]) == 1
    assert sweeps.views(board, [fields.complete(row) for row in rows[:3]]) == []


def test_sweeps_before_and_after_the_preference_stage_share_a_scale_and_their_colours_and_use_the_seeds():
    def group(name, stage, rate, value):
        ends = {"pass_rate": value, "pass_rate_low": value - 5, "pass_rate_high": value + 5}
        described = {"objective": "sft" if name == "sft" else "f_sft", "divergence": None if name == "sft" else name}
        return {"group": f"{name}-{rate}+{stage}", "preference_stage": stage, "learning_rate": rate} | described | ends

    found = [
        group(name, stage, rate, 40 + 10 * (stage == "dpo") + 5 * (rate == 1e-5))
        for name in ("sft", "pearson_chi2")
        for stage in ("dpo", "none")
        for rate in (1e-4, 1e-5)
    ]
    rows = [fields.complete({"row": f"{g['group']}@0", "pass_rate": 1.0, **g}) for g in found]
    before, after = sweeps.views({"groups": found}, rows)
    assert (before["title"], after["title"]) == ("Learning-rate sweep, SFT only", "Learning-rate sweep, then DPO")
    assert before["yticks"] == after["yticks"]
    assert before["legend"] == after["legend"]
    assert len({key["style"] for key in before["legend"]}) == 2
    assert [line[3] for line in after["body"][:2]] == ["55.0 (50.0–60.0)", "50.0 (45.0–55.0)"]
    assert all(dot["link"] is None for dot in before["dots"])  # a recipe over its seeds has no page of its own
    assert {point["stage"] for point in sweeps.plotted({"groups": found}, rows, "pass_rate")} == {"none", "dpo"}


def test_drift_is_set_against_the_rates_of_the_rows_that_have_both():
    rows = [fields.complete({"row": name, "win_rate": rate}) for name, rate in (("a", 60.0), ("b", 70.0), ("c", None))]
    said = leaderboard_content.analyses(["a", "b", "c", "elsewhere"])["drift"]
    (chart,) = drifts.views({}, rows, said)
    assert [line[:2] for line in chart["body"]] == [["a", "2.00 (1.00 to 3.00)"], ["b", "11.00 (10.00 to 12.00)"]]
    assert "logarithmic" not in chart["xlabel"]
    said["rows"]["a"]["kl"] = {"estimate": 0.1, "low": None, "high": None}
    assert "logarithmic" in drifts.views({}, rows, said)[0]["xlabel"]
    assert drifts.views({}, rows, None) == drifts.views({}, rows[:1], said) == []


def test_a_row_page_tells_recipe_curves_and_provenance(built):
    text = (built / "rows" / "sft+dpo.html").read_text("utf-8")
    for words in ("Training: SFT", "Training: DPO", "Reward margin", "Gradient norm", "39 steps", "Judge calibration"):
        assert words in text, words
    assert "Held-out loss" in text
    assert "c0ffee, with changes that were not committed" in text
    assert "ab" * 32 in text
    assert text.index("Training: SFT") < text.index("Training: DPO")


def test_a_metric_of_some_steps_only_is_a_line_through_those_steps():
    (first, *_) = leaderboard_content.stages("sft")
    (block,) = curves.stages([first])
    drawn = {chart["title"]: chart for chart in block["charts"]}
    assert re.sub(r"[^ML]", "", drawn["Held-out loss"]["d"]) == "MLL"  # measured at 3 of 39 steps
    assert drawn["Loss"]["d"].count("L") == 38


def test_a_row_without_manifests_tells_the_provenance_it_keeps_itself(tmp_path):
    (row,) = bare("a")
    row["provenance"] = [
        {"stage": "generate/77aa", "commit": "c0ffee", "dirty": False, "command": "bridgebench eval x"}
    ]
    where = leaderboard.build({"board": "demo"}, [row], {}, tmp_path / "demo")
    text = (where / "rows" / "a.html").read_text("utf-8")
    for words in ("generate/77aa", "c0ffee", "bridgebench eval x"):
        assert words in text


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 871.0), (1e-9, 3e-9), (5.0, 5.0), (97.13, 97.14)])
def test_ticks_are_round_few_and_within_the_scale(low, high):
    ticks = axes.Scale(low, high, 0, 100).ticks()
    assert 1 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert sorted(set(ticks)) == ticks


def test_other_benchmarks_are_columns_of_every_table_with_a_matrix_each(tmp_path):
    board, rows, *rest = leaderboard_content.two_benchmarks()
    where = leaderboard_content.build((board, rows, *rest), tmp_path / "two")
    text = (where / "index.html").read_text("utf-8")
    assert "Every row against every other: micro" in text
    assert "Every row against every other: duel" in text
    expected = rows[1]["benchmarks"]["duel"]["win_rate"]
    assert f'data-sort="{expected!r}"' in text
    lines = list(csv.DictReader(io.StringIO((where / "leaderboard.csv").read_text("utf-8"))))
    sft = next(line for line in lines if line["row"] == "sft")
    assert float(sft["win_rate@duel"]) == expected
