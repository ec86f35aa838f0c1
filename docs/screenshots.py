"""Pictures of a published board for the README: built from its results, taken in headless Chromium.

    python docs/screenshots.py [--board leaderboards/quickstart] [--to docs/images]

Writes ``board-light.png``, ``board-dark.png`` (the charts), ``browse.png``, ``compare.png`` and ``phone.png``, each
below 250 kB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.leaderboard import fields, published  # noqa: E402
from tests.chromium import Browser  # noqa: E402

MOST_BYTES = 250_000


def main() -> None:
    """Build the board, take every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", type=Path, default=ROOT / "leaderboards" / "quickstart")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    browser = Browser()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            site = published.rebuild(arguments.board, Path(temporary) / "board")
            take(browser, site, arguments.to, *two_rows(arguments.board))
    finally:
        browser.close()
    large = [path.name for path in arguments.to.glob("*.png") if path.stat().st_size > MOST_BYTES]
    if large:
        raise SystemExit(f"larger than {MOST_BYTES:,} bytes: {', '.join(large)}")


def two_rows(board: Path) -> tuple[str, str]:
    """The best row that is not the baseline, and the baseline or the next."""
    content = published.read(board)
    complete = [fields.complete(row) for row in content.rows if not row.get("failed")]
    names = [row["row"] for row in fields.in_rank_order(content.board, complete)]
    baseline = content.board.get("baseline")
    others = [name for name in names if name != baseline]
    return others[0], baseline if baseline in names else others[-1]


def take(browser: Browser, site: Path, folder: Path, best: str, other: str) -> None:
    """Each picture, named by what it shows."""
    shots = (
        ("board-light", "index.html", "", 1280, 1040, "light", ""),
        ("board-dark", "index.html", "", 1280, 1180, "dark", "#chart-title"),
        ("browse", "browse.html", f"#row={quote(best)}&order=lead", 1280, 860, "light", ""),
        ("compare", "compare.html", f"#a={quote(best)}&b={quote(other)}", 1280, 860, "light", ""),
        ("phone", "index.html", "", 390, 844, "light", "#table-title"),
    )
    for name, page, fragment, width, height, scheme, at in shots:
        browser.screen(width, height, scheme, phone=width < 500)
        browser.open(site / page, fragment)
        if at:
            browser.js("scrollTo(0, document.querySelector(arguments[0]).getBoundingClientRect().top - 20)", at)
        (folder / f"{name}.png").write_bytes(browser.driver.get_screenshot_as_png())


if __name__ == "__main__":
    main()
