"""The board in a real browser: hostile text stays text, sorting and filtering work. Needs Chromium."""

import re
import shutil
import subprocess
import tempfile

import pytest

from harness import leaderboard
from tests.test_leaderboard import HOSTILE, content  # noqa: F401  (a fixture)

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = """--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking
--disable-component-update --disable-sync --virtual-time-budget=3000 --dump-dom"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def board(content, tmp_path_factory):  # noqa: F811
    return leaderboard.build(*content, tmp_path_factory.mktemp("boards") / "demo")


def opened(path, script=None, *flags):
    """The page after its scripts have run; ``script`` is run at the end, the page's policy lifted for it."""
    if script is not None:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text("utf-8"))
        path = path.with_name(f"with-script-{path.name}")
        path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [BROWSER, *FLAGS.split(), *flags, f"--user-data-dir={profile}", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_hostile_completions_do_not_run(board):
    page = opened(board / "rows" / "sft.html")
    assert re.search(r"<title>sft · Demo", page)
    assert "hacked'&lt;/script&gt;" in page
    assert HOSTILE not in page


def test_the_pages_own_script_runs_under_its_policy(board):
    page = opened(board / "rows" / "sft.html")
    assert re.search(r'<div class="filters" id="filters">', page)


def test_a_click_sorts_the_table_by_full_numbers_and_failed_rows_stay_last(board):
    script = """
      const table = document.querySelector("#table-all table"), out = [];
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((cell) => cell.textContent === "Win rate");
      for (const click of [1, 2]) {
        heads[column].querySelector("button").click();
        const values = [...table.tBodies[0].rows].map((row) => row.cells[column]?.dataset.sort ?? "failed");
        out.push([heads[column].getAttribute("aria-sort"), ...values].join());
      }
      document.title = out.join(" ");
    """
    title = re.search(r"<title>(.*?)</title>", opened(board / "index.html", script)).group(1)
    down, up = (part.split(",") for part in title.split(" "))
    assert (down[0], up[0]) == ("descending", "ascending")
    assert (down[-1], up[-1]) == ("failed", "failed")
    falling = [float(value) for value in down[1:-1]]
    assert falling == sorted(falling, reverse=True)
    assert [float(value) for value in up[1:-1]] == falling[::-1]
    assert len(set(falling)) > 2


def test_filters_keep_the_samples_that_match(board):
    script = """
      const select = document.querySelector('[data-filter="outcome"]');
      select.value = "tie";
      select.dispatchEvent(new Event("input", { bubbles: true }));
      document.title = document.getElementById("count").textContent;
    """
    assert "<title>1 of 5 prompts</title>" in opened(board / "rows" / "sft.html", script)


@pytest.mark.parametrize("page", ["index.html", "rows/sft.html"])
def test_a_phone_scrolls_no_page_sideways(board, page, tmp_path):
    frame = tmp_path / "phone.html"
    address = (board / page).as_uri()
    frame.write_text(f"""<title></title><iframe width="390" height="800" src="{address}"></iframe><script>
      document.querySelector("iframe").addEventListener("load", (event) => {{
        const view = event.target.contentWindow, root = view.document.documentElement;
        const fits = root.scrollWidth <= view.innerWidth;
        document.title = `${{view.innerWidth}} ${{fits ? "fits" : "too wide"}}`;
      }});
    </script>""")
    title = re.search(r"<title>(\d+) (.*?)</title>", opened(frame, None, "--allow-file-access-from-files"))
    assert 380 <= int(title.group(1)) <= 390
    assert title.group(2) == "fits"
