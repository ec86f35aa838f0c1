"""What a model wrote on its way to the page: Markdown trees, pages of texts, samples of verdicts, published boards."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BridgebenchError
from harness.leaderboard import corpus, display, fields, markdown, published, samples
from tests import leaderboard_content
from tests.leaderboard_content import HOSTILE, NAMES, TEXTS

TAGS = set("p blockquote ul ol li em strong s table thead tbody tr th td code pre br hr a h1 h2 h3 h4 h5 h6".split())


def walk(nodes):
    for node in nodes:
        if isinstance(node, list):
            yield node
            yield from walk(node[2:] if node[0] in ("a", "ol") else node[1:])


def words(nodes):
    return "".join(
        node if isinstance(node, str) else words(node[2:] if node[0] in ("a", "ol") else node[1:]) for node in nodes
    )


def test_markdown_becomes_elements_and_raw_html_stays_text():
    tree = markdown.tree("# Hi *a*\n\n- x\n- y <b>z</b>\n\n3. c\n\n```\n<i>\n```\n\nq  \nr ~~s~~")
    assert tree == [
        ["h1", "Hi ", ["em", "a"]],
        ["ul", ["li", "x"], ["li", "y <b>z</b>"]],
        ["ol", 3, ["li", "c"]],
        ["pre", "<i>\n"],
        ["p", "q", ["br"], "r ", ["s", "s"]],
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("[x](https://a.org/b)", [["p", ["a", "https://a.org/b", "x"]]]),
        ("[x](javascript:run)", [["p", "[x](javascript:run)"]]),
        ("[x](/etc/passwd)", [["p", "x"]]),
        ("[x](//evil.org)", [["p", "x"]]),
        ("<data:text/html,run>", [["p", "<data:text/html,run>"]]),
        ("![x](https://a.org/b.png)", [["p", "![x](https://a.org/b.png)"]]),
        ("<script>run</script>", [["p", "<script>run</script>"]]),
    ],
)
def test_links_lead_to_the_web_or_are_text_and_images_are_text(source, shown):
    assert markdown.tree(source) == shown


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab *_`#[]()<>|~-+1.\n\\&!:/\t=", max_size=120))
def test_any_text_gives_known_tags_and_web_links_only(text):
    for node in walk(markdown.tree(text)):
        assert node[0] in TAGS
        assert node[0] != "a" or re.match(r"https?://", node[1], re.IGNORECASE)


@settings(max_examples=100, deadline=None)
@given(
    st.text(
        alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="*_`#[]<>|~\\&=-+."), max_size=80
    )
)
def test_a_text_without_markup_keeps_every_word(text):
    assert words(markdown.tree(text)).split() == text.split()


@pytest.mark.parametrize("part", ["[", "![", "*a _b ", "> ", "- ", "`", "<b>", "|a|\n|-|\n"])
def test_hostile_repetition_is_parsed_or_shown_as_text(part):
    assert isinstance(markdown.tree((part * display.MOST_SHOWN)[: display.MOST_SHOWN]), list)


def test_characters_that_reorder_or_break_a_page_are_made_visible():
    assert display.model_text(TEXTS[3]) == ("⟨U+202E⟩gnp.⟨U+202C⟩ ⟨U+0000⟩ \ufffd مرحبا", False)
    assert display.model_text("x" * 50_000) == ("x" * display.MOST_SHOWN, True)
    assert display.visible("👩‍🔬 é\n\tok") == "👩‍🔬 é\n\tok"


@pytest.fixture
def built(demo_board):
    return demo_board


@pytest.fixture
def published_board():
    return Path(__file__).resolve().parent.parent / "leaderboards" / "quickstart"


def page(directory, name):
    """What a page's script calls bridgebench() with."""
    text = (directory / "pages" / f"{name}.js").read_bytes().decode("ascii")
    called, data = re.fullmatch(r'bridgebench\("([^"]*)",(.*)\);\n', text, re.S).groups()
    assert called == name
    assert "<" not in text
    return json.loads(data)


def test_every_completion_is_on_a_page_as_text_and_as_a_tree(built):
    found = page(built, "sft-0")
    assert len(found) == len(TEXTS)
    assert found[0][0] == HOSTILE
    assert found[8][1][0] == ["h1", "Head"]
    assert found[1][1] == 0
    assert found[9][2] == 1_000_000
    assert found[9][0] == ("y " * 500_000)[: display.MOST_SHOWN]
    assert [verdict[0] for verdict in found[2][5]] == ["baseline first", "model first"]
    assert found[2][5][0][4] == HOSTILE


def test_the_index_says_what_filters_need(built):
    rows, prompts, parts, _, per_page, [[_, _, _, baseline, metric, pairs]], cells = page(built, "index")
    assert {row[0] for row in rows} == set(NAMES)
    assert parts == ["In", "Out", "Retain"]
    assert len(prompts) == len(TEXTS) <= per_page
    assert rows[baseline][0] == "base"
    assert (metric, len(pairs)) == ("pass_rate", 6)
    flags = cells[[row[0] for row in rows].index("sft")][2]
    assert flags[2] == corpus.DISAGREEMENT | corpus.EMPTY
    assert flags[4] == corpus.TRUNCATED
    assert flags[1] == 0


def test_long_completions_make_more_and_smaller_pages(tmp_path):
    rows = [{"row": "a", "rank": 1, "win_rate": 1.0}]
    lines = [{"prompt_id": str(n), "prompt": "p", "completion": "x" * 10_000, "preference": 1.0} for n in range(35)]
    collected = corpus.collect({"baseline": "elsewhere"}, rows, {"a": lines})
    corpus.write(collected, {}, tmp_path / "pages")
    names = {path.name for path in (tmp_path / "pages").iterdir()}
    texts = {f"{stem}-{k}.js" for stem in ("prompts", "a", "elsewhere") for k in range(4)}
    assert names == texts | {"index.js"}
    assert collected.per_page == 10


@pytest.mark.parametrize("name", ["prompts", "index", "row-prompts", "../../etc", "__proto__"])
def test_no_row_can_take_the_name_of_the_prompts_or_leave_the_folder(name):
    stem = corpus.stem(name)
    assert stem not in ("prompts", "index")
    assert "/" not in stem


def test_benchmarks_that_share_prompt_ids_are_kept_apart(tmp_path):
    board, rows, given, _ = leaderboard_content.two_benchmarks()
    corpus.write(corpus.collect(board, [fields.complete(row) for row in rows], given), board, tmp_path / "pages")
    _, prompts, *_, benchmarks, _ = page(tmp_path, "index")
    assert [name for name, *_ in benchmarks] == ["micro", "duel"]
    assert [baseline for _, baseline, *_ in benchmarks] == ["base", "famous"]
    assert [metric for *_, metric, _ in benchmarks] == ["pass_rate", "win_rate"]
    assert [prompt[4] for prompt in prompts] == [0] * len(TEXTS) + [1, 1]
    assert [cell[0] for cell in page(tmp_path, "sft-0")[-2:]] == ["first", "second"]
    assert [cell and cell[0] for cell in page(tmp_path, "famous-0")] == [None] * len(TEXTS) + ["famous"] * 2


def test_verdicts_of_both_orders_are_one_sample_as_the_estimates_count_them():
    lines = [
        {"prompt_id": "a", "order": "model_first", "preference": 1.0, "score": None, "label": "m", "part": "in"},
        {"prompt_id": "b", "order": "model_first", "preference": 1.0, "score": 0.5, "label": None},
        {"prompt_id": "a", "order": "baseline_first", "preference": 0.5, "score": None, "label": "=", "raw_text": "t"},
    ]
    own = [{"prompt_id": "a", "messages": [{"role": "user", "content": "q"}], "text": "mine", "finish_reason": "stop"}]
    first, second = samples.gather(lines, own, [{"prompt_id": "a", "text": "theirs"}])
    assert (first["preference"], first["score"], first["prompt"]) == (0.75, None, "q")
    assert (first["completion"], first["baseline_completion"]) == ("mine", "theirs")
    assert [verdict["raw_text"] for verdict in first["verdicts"]] == [None, "t"]
    assert (second["preference"], second["score"], second["completion"]) == (None, 0.5, None)
    assert len(second["verdicts"]) == 1


def test_the_published_board_is_built_again_from_its_evidence_alone(published_board, tmp_path):
    content = published.read(published_board)
    data = json.loads((published_board / "data.json").read_text("utf-8"))
    assert [row["row"] for row in content.rows] == [row["row"] for row in data["rows"]]
    for row in content.rows:
        found = content.samples[row["row"]]
        assert len(found) == row["n"] + row["n_missing"]
        passed = [sample["score"] == 1 for sample in found]
        assert 100 * sum(passed) / len(passed) == pytest.approx(row["pass_rate"])
        assert sum(len(s["completion"]) for s in found) / len(found) == pytest.approx(row["mean_length"])
    trained = next(row["row"] for row in content.rows if (row["stage_keys"] or {}).get("train_preference"))
    assert [bool(stage["metrics"]) for stage in content.stages[trained]].count(True) == 2
    rebuilt = published.rebuild(published_board, tmp_path / "again")
    again = json.loads((rebuilt / "data.json").read_text("utf-8"))
    for before, after in zip(data["rows"], again["rows"], strict=True):
        assert before.items() <= after.items()
    total = sum(path.stat().st_size for path in (rebuilt / "pages").iterdir())
    assert total < 3_000_000


def test_a_directory_without_a_board_is_refused(tmp_path):
    with pytest.raises(BridgebenchError, match="is no board"):
        published.read(tmp_path)
