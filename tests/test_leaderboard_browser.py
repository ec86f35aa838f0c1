"""The board in a real browser: sort, filter, browse, search, compare, by mouse and keyboard, on a desk and a phone.

Hostile completions never run and never break the page; nothing is asked from outside.
"""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.leaderboard import display
from tests import leaderboard_content
from tests.chromium import AXE, Browser, needs_browser
from tests.leaderboard_content import HOSTILE, NAMES, TEXTS

pytestmark = needs_browser

PAGES = ("index.html", "rows/sft+dpo.html", "browse.html", "compare.html")


@pytest.fixture(scope="module")
def content():
    return leaderboard_content.content()


@pytest.fixture
def board(demo_board):
    return demo_board


@pytest.fixture(scope="module")
def running():
    found = Browser()
    yield found
    found.close()


@pytest.fixture
def browser(running):
    """The browser with a light desktop screen, and no error of a page left unread."""
    running.screen()
    running.errors(), running.requests()
    yield running
    assert running.errors() == []
    running.js("try { localStorage.clear() } catch {}")


def cells(browser, column):
    """The sort values of a column of the shown table, the baseline's and ours alone, from top to bottom."""
    script = """const table = document.querySelector("#table-all table");
        const place = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        return [...table.tBodies[0].rows].filter((row) => row.checkVisibility())
          .map((row) => row.cells[place]?.dataset.sort ?? "failed");"""
    return browser.js(script, column)


def press_head(browser, column):
    script = """const head = [...document.querySelectorAll("#table-all thead th")]
        .find((cell) => cell.textContent === arguments[0]);
        head.querySelector("button").id = "pressed";"""
    browser.js(script, column)
    browser.click("#pressed")
    browser.js("document.getElementById('pressed').removeAttribute('id')")
    return browser.js("return document.querySelector('#table-all th[aria-sort]').getAttribute('aria-sort')")


def test_a_click_sorts_the_table_by_full_numbers_and_failed_rows_stay_last(browser, board):
    browser.open(board / "index.html")
    assert press_head(browser, "Win rate") == "descending"
    down = cells(browser, "Win rate")
    assert press_head(browser, "Win rate") == "ascending"
    up = cells(browser, "Win rate")
    assert down[-1] == up[-1] == "failed"
    falling = [float(value) for value in down[:-1]]
    assert falling == sorted(falling, reverse=True)
    assert [float(value) for value in up[:-1]] == falling[::-1]
    assert 61.5 in falling
    assert len(set(falling)) > 3


def test_filters_narrow_the_table_and_the_chart(browser, board):
    browser.open(board / "index.html")
    names = "#table-all tbody th.name"
    browser.type("#find", "dpo")
    assert [text.split("SFT")[0] for text in browser.texts(names)] == ["sft+dpo"]
    assert browser.text("#count") == "1 of 5 rows"
    assert browser.texts("#chart-pass_rate tbody tr[data-row] th") == ["sft+dpo"]
    browser.type("#find", "")
    browser.find("#find").send_keys(" ")
    browser.choose("[data-filter=variant]", "sft")
    assert len(browser.texts(names)) == 2
    browser.choose("[data-filter=stage]", "none")
    assert len(browser.texts(names)) == 1


def test_rows_from_elsewhere_can_be_hidden(browser, board):
    browser.open(board / "index.html")
    assert len(browser.texts("#table-all tr.reference")) == 2
    browser.click("#references")
    assert browser.texts("#table-all tr.reference") == []
    assert len(browser.texts("#table-all tbody tr")) == 5


def test_the_parts_of_the_benchmark_are_a_press_away(browser, board):
    browser.open(board / "index.html")
    browser.click("[data-show=table-p0]")
    assert browser.texts(".board .caption strong") == ["In"]


def test_a_row_opens_and_leads_to_its_completions(browser, board):
    browser.open(board / "index.html")
    browser.click("#table-all tr[data-row='sft+dpo'] th a")
    assert browser.text("h1") == "sft+dpo"
    assert len(browser.texts("figure.small")) > 5
    browser.click(".actions a")
    browser.until("return document.querySelector('#reader .answer')")
    assert browser.text("#reader .answer h3") == "sft+dpo"


def test_drift_and_the_sweep_are_drawn_on_the_board_and_lead_to_their_rows(browser, board):
    browser.open(board / "index.html")
    assert browser.texts(".plots h2") == [
        "Win rate against length",
        "Learning-rate sweep, SFT only",
        "Drift against pass rate",
        "Drift against win rate",
    ]
    drift = "section[aria-labelledby=plot-drift-win_rate]"
    dots = browser.js(f"return [...document.querySelectorAll('{drift} a title')].map((e) => e.textContent)")
    assert [text.split(":")[0] for text in dots] == ["pearson-chi2", "sft+dpo", "sft"]
    assert "KL 2.00 (1.00 to 3.00)" in dots[2]
    across = browser.js(
        f"return [...document.querySelectorAll('{drift} a circle')].map((e) => parseFloat(e.getAttribute('cx')))"
    )
    assert across == sorted(across, reverse=True)  # KL 20, 11 and 2
    assert len(browser.texts(f"{drift} table tbody tr")) == 0  # behind "Figures"
    browser.click(f"{drift} summary")
    assert len(browser.texts(f"{drift} table tbody tr")) == 3
    browser.js(f"document.querySelectorAll('{drift} a')[1].dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    browser.until("return document.querySelector('h1').textContent === 'sft+dpo'")


def test_a_rows_page_shows_margins_values_drift_and_the_credit_of_every_token(browser, board):
    browser.open(board / "rows" / "sft+dpo.html")
    shown = browser.texts("section:has(> dl.card) > .section-head h2")
    assert shown[:3] == ["As a reward model", "Values of states", "Drift"]
    areas = "return [...document.querySelectorAll('.area')].map((e) => e.getBoundingClientRect().height > 20)"
    assert browser.js(areas) == [True, True, True]  # margins, and the bands of good and corrupted
    tokens = browser.js(
        "return [...document.querySelector('svg.credit').querySelectorAll('text')].map((e) => e.textContent)"
    )
    assert HOSTILE in "".join(tokens)
    assert "\u202e" not in "".join(tokens)
    edge = """const box = document.querySelector('svg.credit').getBoundingClientRect();
        return [...document.querySelectorAll('svg.credit')[0].querySelectorAll('text')]
          .every((e) => e.getBoundingClientRect().right <= box.right + 1)"""
    assert browser.js(edge)
    boxes = "[...document.querySelectorAll('svg.credit')[0].querySelectorAll('rect')]"
    fills = browser.js(f"return {boxes}.map((e) => getComputedStyle(e).fill)")
    assert len(set(fills)) > 4
    assert browser.js("return document.querySelector('svg.credit g:last-of-type title').textContent") == "+1.600"
    browser.open(board / "rows" / "base.html")
    assert browser.texts("section:has(> dl.card) > .section-head h2") == ["Recipe and measurements"]


def test_every_verdict_can_be_browsed_with_both_orders(browser, board):
    browser.open(board / "browse.html", "#row=sft&show=disagree")
    assert browser.text("#count") == "1 of 11 prompts"
    browser.until("return document.querySelector('.verdict')")
    assert browser.texts(".answer:not(.other) .verdict strong") == ["baseline first", "model first"]
    browser.click(".verdict summary")
    assert browser.text(".verdict pre") == HOSTILE


def test_a_deep_link_shows_one_prompt_and_the_address_follows_the_reader(browser, board):
    browser.open(board / "browse.html", "#row=pearson-chi2&prompt=p08")
    assert browser.text("#reader h2") == "p08"
    assert browser.texts(".md .md-head, .md ul li, .md ol li, .md td")[:4] == ["Head", "one em", "two strong", "first"]
    assert browser.text(".md pre code") == "<b>code</b>\n"
    browser.click("#reader .tools button:nth-child(2)")
    browser.until("return document.querySelector('#reader h2').textContent === 'p09'")
    assert "prompt=p09" in browser.js("return location.hash")
    browser.js("location.hash = '#row=sft&prompt=p01'")
    browser.until("return document.querySelector('#reader h2').textContent === 'p01'")


def test_search_reads_the_texts_of_every_page(browser, board):
    browser.open(board / "browse.html", "#row=sft")
    browser.type("#q", "LIGHTHOUSE")
    browser.until("return document.getElementById('count').textContent === '1 of 11 prompts'")
    browser.until("return document.querySelector('#reader h2').textContent === 'p10'")
    browser.type("#q", "because")
    browser.until("return document.querySelector('#reader h2').textContent === 'p02'")
    browser.type("#q", "not to be found")
    browser.until("return document.getElementById('reader').textContent === 'No prompt matches.'")


def test_filters_and_orders_of_the_browser_follow_the_samples(browser, board, content):
    samples = content[2]["sft"]
    browser.open(board / "browse.html", "#row=sft")
    for value, keep in {
        "tie": lambda s: s["preference"] == 0.5,
        "loss": lambda s: s["preference"] == 0.0,
        "missing": lambda s: s["preference"] is None and s["score"] is None,
        "truncated": lambda s: s["finish_reason"] == "length",
        "pass": lambda s: s["score"] == 1,
    }.items():
        wanted = sum(map(keep, samples))
        assert f"({wanted})" in browser.text(f"#show option[value={value}]")
        if wanted:
            browser.choose("#show", value)
            assert browser.js("return document.querySelectorAll('#list li').length") == wanted
    browser.choose("#show", "")
    browser.choose("#order", "lead")
    browser.until("return document.querySelector('#list .badge').textContent === 'win'")
    browser.choose("#order", "long")
    first = browser.js("return Number(document.querySelector('#list button').dataset.prompt)")
    assert len(samples[first]["completion"]) == 1_000_000
    browser.choose("#part", "Retain")
    assert browser.text("#count") == "3 of 11 prompts"


def test_all_rows_can_be_read_side_by_side(browser, board):
    browser.open(board / "browse.html", "#row=*&prompt=p01")
    assert len(browser.texts("#reader .answer")) == len(NAMES)


def test_two_rows_compare_with_the_difference_of_the_board(browser, board, content):
    pair = next(p for p in content[0]["comparison"]["pairs"] if {p["a"], p["b"]} == {"sft", "pearson-chi2"})
    browser.open(board / "compare.html", f"#a={pair['a']}&b={pair['b']}")
    told = browser.text("#summary .value")
    assert told.startswith(display.signed(pair["difference"]))
    assert display.signed(pair["difference_low"]) in told
    words = browser.text("#summary")
    assert ("significantly better" in words) == pair["significant"]
    assert browser.texts("#reader .answer h3 bdi") == [pair["a"], pair["b"]]
    leads = browser.texts("#list .badge")
    assert leads == sorted(leads, key=lambda lead: lead == "equal")
    assert len(leads) == len(TEXTS)
    browser.click("#swap")
    assert browser.text("#summary .value").startswith(display.signed(-pair["difference"]))


def test_each_benchmark_has_its_own_prompts_baseline_and_comparison(browser, tmp_path):
    content = leaderboard_content.two_benchmarks()
    where = leaderboard_content.build(content, tmp_path / "two")
    browser.open(where / "browse.html", "#row=sft&benchmark=duel&prompt=p01")
    assert browser.text("#count") == "2 prompts"
    assert browser.texts("#reader .text-box")[1:] == ["second", "famous"]
    assert browser.texts("#reader .answer h3") == ["sft", "famous (baseline)"]
    browser.choose("#benchmark", "0")
    browser.until("return document.getElementById('count').textContent === '11 prompts'")
    browser.open(where / "compare.html", "#a=sft&b=base&benchmark=duel")
    (pair,) = content[0]["comparisons"]["duel"]["pairs"]
    assert browser.text("#summary .value").startswith(display.signed(-pair["difference"]))
    assert "points of win rate" in browser.text("#summary")


def test_every_control_works_by_keyboard_alone(browser, board):
    from selenium.webdriver.common.keys import Keys

    browser.open(board / "index.html")
    browser.press(Keys.TAB)
    assert browser.focused() == "Skip to content"
    browser.press(Keys.ENTER)
    assert browser.js("return location.hash") == "#main"
    for _ in range(40):
        browser.press(Keys.TAB)
        if browser.focused() == "Win rate" and browser.js("return document.activeElement.closest('th') !== null"):
            break
    assert browser.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(Keys.ENTER)
    assert browser.text("#table-all th[aria-sort]") == "Win rate"
    assert "Sorted by Win rate" in browser.text("#status")

    browser.open(board / "browse.html", "#row=sft")
    for _ in range(25):
        browser.press(Keys.TAB)
        if browser.js("return document.activeElement.closest('#list') !== null"):
            break
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    browser.until("return document.querySelector('#reader h2').textContent === 'p02'")
    assert browser.js("return document.activeElement.closest('li') === document.querySelectorAll('#list li')[2]")


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_scrolls_no_page_sideways(browser, board, page):
    browser.screen(390, 844, phone=True)
    browser.open(board / page)
    assert browser.js("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    assert browser.js("return document.querySelector('meta[name=viewport]') !== null")


def test_a_tap_on_a_phone_brings_the_text_into_view(browser, board):
    browser.screen(390, 844, phone=True)
    browser.open(board / "browse.html", "#row=sft")
    browser.click("#list li:nth-child(2) button")
    browser.until("return document.querySelector('#reader h2').textContent === 'p01'")
    browser.until("return document.getElementById('reader').getBoundingClientRect().top < 100")


def luminance(browser):
    colour = browser.js("return getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_dark_follows_the_system_and_the_readers_choice_stays(browser, board):
    browser.open(board / "index.html")
    assert luminance(browser) > 700
    browser.screen(scheme="dark")
    assert luminance(browser) < 100
    browser.click("#theme")
    assert luminance(browser) > 700
    # each page has its own process, and Chromium hands what one stored to the next without saying when
    for _ in range(20):
        browser.open(board / "browse.html")
        if luminance(browser) > 700:
            break
    assert luminance(browser) > 700


def named_with_hostile_texts(content):
    """The same board with hostile names of rows, prompts, parts and families."""
    board, rows, samples, _ = content
    names = {"sft": f'"><img src=x onerror="{leaderboard_content.RUN}">', "base": HOSTILE}

    def rename(value):
        if isinstance(value, dict):
            return {rename(key) if isinstance(key, str) else key: rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return names.get(value, value) if isinstance(value, str) else value

    renamed = {names.get(name, name): [dict(line) for line in lines] for name, lines in samples.items()}
    for lines in renamed.values():
        for line in lines:
            line |= {"prompt_id": f"{line['prompt_id']}{HOSTILE}\x00", "part": HOSTILE, "family": f"'{HOSTILE}"}
            line |= {"prompt": TEXTS[int(line["prompt"].split()[-1])]}
    kept = {key: board[key] for key in ("board", "title", "benchmark", "reference_tables")}
    more = {"baseline": names["base"], "comparison": rename(board["comparison"])}
    return {**kept, **more}, [{**row, "row": names.get(row["row"], row["row"])} for row in rows], renamed, {}


READ_EVERYTHING = """
const done = arguments[arguments.length - 1], seen = new Set(), pane = document.getElementById("reader");
const forbidden = "main :is(script, img, iframe, svg:not([role]), object, embed, style, link, base, b:not(h3 b))";
let elements = 0, texts = 0;
const drawn = async (act) => {
  const before = pane.firstChild;
  act();
  while (pane.firstChild === before) await new Promise((next) => setTimeout(next, 1));
  for (const link of pane.querySelectorAll("a")) seen.add(link.href);
  elements += document.querySelectorAll(forbidden).length;
  texts += pane.querySelectorAll(".text-box").length;
};
(async () => {
  for (const select of [document.getElementById("row"), document.getElementById("a")].filter(Boolean)) {
    for (const option of [...select.options].map((item) => item.value)) {
      select.value = option;
      await drawn(() => select.dispatchEvent(new Event("change", { bubbles: true })));
      for (const item of [...document.querySelectorAll("#list button")]) {
        await drawn(() => item.click());
        await drawn(() => document.getElementById("raw").click());
      }
    }
  }
  done([[...seen], elements, texts]);
})().catch((error) => done(["failed", String(error), 0]));
"""


@pytest.mark.parametrize("named", [False, True])
def test_hostile_completions_never_run_break_the_page_or_ask_for_anything(browser, content, board, named, tmp_path):
    where = board
    if named:
        renamed = named_with_hostile_texts(content)
        said = leaderboard_content.analyses([row["row"] for row in renamed[1][1:]])
        where = leaderboard_content.build(renamed, tmp_path / "board", said)
    browser.requests()
    browser.driver.set_script_timeout(60)
    for path in sorted(where.rglob("*.html")):
        browser.open(path)
        assert browser.js("return window.hacked") is None
        assert (
            browser.js("return document.querySelectorAll('main img, main iframe, main script, [onclick]').length") == 0
        )
        if path.name in ("browse.html", "compare.html"):
            links, elements, texts = browser.driver.execute_async_script(READ_EVERYTHING)
            assert elements == 0, links
            assert texts > 2 * len(NAMES) * len(TEXTS)
            assert links == ["https://example.org/a?b=1"]
            assert browser.js("return window.hacked") is None
            assert browser.text("footer p").startswith("Made by bridgebench")
    asked = browser.requests()
    assert asked
    assert [address for address in asked if not address.startswith(("file://", "about:"))] == []
    assert all(where.as_uri() in address for address in asked if address.startswith("file://"))


def test_hostile_text_is_shown_in_full_as_text(browser, board):
    browser.open(board / "browse.html", "#row=sft&prompt=p00")
    assert browser.text("#reader .answer .text-box").strip() == HOSTILE
    browser.click("#raw")
    browser.until("return document.querySelector('.answer pre.raw')")
    assert browser.text("#reader .answer pre.raw") == HOSTILE
    browser.open(board / "browse.html", "#row=sft&prompt=p03")
    assert browser.text("#reader .answer .text-box") == "⟨U+202E⟩gnp.⟨U+202C⟩ ⟨U+0000⟩ \ufffd مرحبا"
    browser.open(board / "browse.html", "#row=sft&prompt=p09")
    assert "cut for display: 1,000,000 characters in all" in browser.text("#reader")


def test_the_policy_forbids_html_from_text_and_scripts_from_elsewhere(browser, board):
    browser.open(board / "browse.html")
    script = "try { document.body.innerHTML = '<b>x</b>'; return 'made'; } catch (error) { return error.name; }"
    assert browser.js(script) == "TypeError"
    script = """const made = document.createElement("script");
        try { made.src = "https://example.org/x.js"; return "made"; } catch (error) { return error.name; }"""
    assert browser.js(script) == "TypeError"
    assert len(browser.errors()) == 2  # both are reported as violations


def test_a_page_of_texts_that_is_gone_is_reported(browser, board, tmp_path):
    where = shutil.copytree(board, tmp_path / "board")
    (where / "pages" / "sft-0.js").unlink()
    browser.open(where / "browse.html", "#row=sft")
    assert browser.text("[role=alert]") == "pages/sft-0.js could not be loaded"
    assert len(browser.errors()) == 1
    browser.choose("#row", browser.js("return [...document.querySelectorAll('#row option')].at(-1).value"))
    browser.until("return document.querySelector('#reader .answer')")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_any_web_server_serves_it(browser, board):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(board)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        own = f"http://127.0.0.1:{server.server_port}/"
        browser.requests()
        for page in PAGES:
            browser.open(own + page)
        browser.open(own + "browse.html", "#row=sft&prompt=p10")
        assert "lighthouse" in browser.text("#reader .answer")
        asked = [address for address in browser.requests() if not address.startswith("about:")]
        assert [address for address in asked if not address.startswith(own)] == []
        icons = [error for error in browser.errors() if "favicon.ico" not in error]
        assert icons == []
        browser.driver.get("about:blank")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed; make browser installs it where npm works")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", [*PAGES, "browse.html#row=*&prompt=p08", "browse.html#row=sft&show=disagree"])
def test_axe_finds_no_serious_fault(browser, board, page, scheme):
    browser.screen(scheme=scheme)
    name, _, fragment = page.partition("#")
    browser.open(board / name, f"#{fragment}" if fragment else "")
    browser.js("for (const details of document.querySelectorAll('details')) details.open = true")
    assert browser.violations() == []
