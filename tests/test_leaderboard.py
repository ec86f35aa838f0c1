"""A board's files: complete, escaped, the same bytes each time, and never half-written."""

import csv
import io
import json
import os
import random
import re
import time
from html.parser import HTMLParser

import pytest

from harness import leaderboard
from harness.aggregate import compare, estimate
from harness.errors import BridgebenchError, ConfigError
from harness.leaderboard import display, fields, pages

HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\"></pre></article>"
NAMES = ("base", "sft", "sft+dpo", "pearson-chi2")


def verdicts(name, seed):
    generator = random.Random(seed)
    lines = []
    for number in range(60):
        score = 1.0 if generator.random() < 0.2 * seed else generator.choice([0.0, 0.5])
        lines.append(
            {
                "prompt_id": f"p{number:02}",
                "model": name,
                "baseline": "base",
                "preference": 0.5 if name == "base" else generator.choice([0.0, 0.5, 1.0]),
                "score": score,
                "part": ("in", "out", "retain")[number % 3],
                "family": f"family-{number % 4}",
                "length_model": generator.randrange(20, 200),
                "length_baseline": generator.randrange(20, 200),
                "completion_tokens": 12,
                "truncated": number == 7,
                "empty": False,
            }
        )
    return lines


def sample(number, completion):
    return {
        "prompt_id": f"p{number:02}",
        "part": "in",
        "family": "lists",
        "prompt": "List <two> fruits & nothing else",
        "completion": completion,
        "baseline_completion": "apple",
        "score": 0.5,
        "preference": (0.0, 0.5, 1.0, None)[number % 4],
        "finish_reason": "stop",
        "completion_tokens": 3,
    }


@pytest.fixture(scope="module")
def content():
    """(board, rows, samples) of four rows and one that failed."""
    lines = {name: verdicts(name, seed) for seed, name in enumerate(NAMES, 1)}
    comparison = compare(lines)
    rows = [
        {
            "row": name,
            "variant": name,
            "rank": comparison["ranks"][name],
            "failed": None,
            **estimate(lines[name]),
        }
        for name in NAMES
    ]
    rows[2] |= {"preference_stage": "dpo", "learning_rate": 1e-4, "objective": "sft", "dpo_beta": 0.1}
    rows[2] |= {"stage_keys": {"train": "train/3f9a"}, "train_seconds": 75.0}
    rows.append({"row": "forward-kl", "variant": "forward-kl", "failed": "train/77aa: loss is not finite"})
    board = {
        "board": "demo",
        "title": "Demo & <b>board</b>",
        "benchmark": "builtin:microtasks eval",
        "judge": "rules",
        "baseline": "base",
        "comparison": comparison,
        "recipe": {"name": "demo", "note": HOSTILE},
        "notes": ["One training seed: each interval describes this checkpoint only."],
    }
    texts = [HOSTILE, "plain", "", "\u202egnp.\u202c \x00 \ud800 مرحبا", "x" * 50_000]
    return board, rows, {name: [sample(n, text) for n, text in enumerate(texts)] for name in NAMES}


@pytest.fixture(scope="module")
def built(content, tmp_path_factory):
    return leaderboard.build(*content, tmp_path_factory.mktemp("boards") / "demo")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of each <pre>."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "pre":
            self._inside = True
            self.texts.append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data):
        if self._inside:
            self.texts[-1] += data


def html_pages(directory):
    return sorted(directory.rglob("*.html"))


def test_a_board_has_all_its_files(built):
    found = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    expected = {"data.json", "leaderboard.csv", "leaderboard.md", "index.html"}
    expected |= {f"rows/{name}.html" for name in NAMES}
    for metric in ("pass_rate", "win_rate", "lc_win_rate"):
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
    again = leaderboard.build(*content, tmp_path / "demo")
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


def test_nothing_a_model_wrote_becomes_an_element(built):
    for path in html_pages(built):
        elements = Elements(path.read_text("utf-8"))
        assert sum(tag == "script" for tag, _ in elements.tags) == 1
        assert not [tag for tag, _ in elements.tags if tag in ("img", "iframe", "object", "link", "base", "form")]
        handlers = [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]
        assert handlers == []


def test_completions_are_shown_whole_as_text(built):
    shown = Elements((built / "rows" / "sft.html").read_text("utf-8")).texts
    assert HOSTILE in shown
    assert "List <two> fruits & nothing else" in shown
    assert "x" * display.MOST_SHOWN in shown
    assert "x" * (display.MOST_SHOWN + 1) not in "".join(shown)


def test_characters_that_reorder_or_break_a_page_are_made_visible(built):
    text = (built / "rows" / "sft.html").read_bytes().decode("utf-8")  # valid UTF-8 in spite of a lone surrogate
    assert "⟨U+202E⟩gnp.⟨U+202C⟩ ⟨U+0000⟩ \ufffd مرحبا" in text
    assert "\u202e" not in text
    assert "\x00" not in text


def test_pages_ask_for_nothing_from_outside(built):
    for path in html_pages(built):
        elements = Elements(path.read_text("utf-8"))
        for _, attributes in elements.tags:
            for name in ("src", "href", "action", "data", "srcset"):
                assert not re.match(r"(?i)\s*(?:[a-z]+:|//)", attributes.get(name) or "")
        (policy,) = [a["content"] for tag, a in elements.tags if tag == "meta" and "http-equiv" in a]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


def test_the_policy_admits_exactly_the_script_and_style_of_the_page(built):
    text = (built / "index.html").read_text("utf-8")
    style, script = (
        re.search(r"<style>(.*?)</style>", text, re.S),
        re.search(r"<script>(.*?)</script>", text, re.S),
    )
    policy = pages._policy(style.group(1), script.group(1))
    assert policy in text.replace("&#39;", "'")
    assert "{{" not in text


def test_every_link_leads_to_a_page(built):
    from urllib.parse import unquote

    for path in html_pages(built):
        for tag, attributes in Elements(path.read_text("utf-8")).tags:
            if tag == "a" and not attributes["href"].startswith("#"):
                assert (path.parent / unquote(attributes["href"])).exists(), attributes["href"]


def test_cells_carry_the_full_number_to_sort_by(built, content):
    text = (built / "index.html").read_text("utf-8")
    for row in content[1][1:4]:
        assert f'data-sort="{row["win_rate"]!r}"' in text
    assert 'aria-sort="ascending"' in text
    assert "failed: train/77aa: loss is not finite" in text


def test_a_board_without_scores_shows_win_rates_alone(content, tmp_path):
    board, rows, _ = content
    bare = [{"row": row["row"], "win_rate": row.get("win_rate"), "failed": row.get("failed")} for row in rows]
    destination = leaderboard.build({**board, "comparison": None}, bare, {}, tmp_path / "bare")
    text = (destination / "index.html").read_text("utf-8")
    assert "Pass rate" not in text
    assert "Win rate" in text


def test_a_rebuild_replaces_the_board_whole(content, tmp_path):
    board, rows, samples = content
    destination = leaderboard.build(board, rows, samples, tmp_path / "demo")
    (destination / "rows" / "left-over.html").write_text("old")
    leaderboard.build(board, rows[:2], samples, destination)
    assert {path.name for path in (destination / "rows").iterdir()} == {"base.html", "sft.html"}
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_failure_half_way_leaves_the_old_board_and_nothing_else(content, tmp_path, monkeypatch):
    board, rows, samples = content
    destination = leaderboard.build(board, rows, samples, tmp_path / "demo")
    before = (destination / "data.json").read_bytes()
    monkeypatch.setattr(pages, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        leaderboard.build({**board, "title": "new"}, rows, samples, destination)
    assert (destination / "data.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_the_next_build_removes_what_a_killed_one_left(content, tmp_path):
    for name, age in ((".demo-old", 7200), (".demo-running", 10)):
        (tmp_path / name / "board").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    board, rows, _ = content
    leaderboard.build(board, rows[:1], {}, tmp_path / "demo")
    assert {path.name for path in tmp_path.iterdir()} == {"demo", ".demo-running"}


def test_a_directory_that_is_no_board_is_not_overwritten(content, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BridgebenchError, match="no board"):
        leaderboard.build(*content, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_board_and_a_repeated_row_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no rows"):
        leaderboard.build({"board": "demo"}, [], {}, tmp_path / "demo")
    with pytest.raises(ConfigError, match='more than one row called "sft"'):
        leaderboard.build({"board": "demo"}, [{"row": "sft"}, {"row": "sft"}], {}, tmp_path / "demo")
    assert not list(tmp_path.iterdir())
