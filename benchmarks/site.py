"""Time a large board: 20 rows x 805 prompts with texts of about 2,000 characters, built and opened in Chromium.

    python benchmarks/site.py [--rows 20] [--prompts 805] [--opens 5] [--keep DIR] [--output FILE]

Measured: the seconds `harness.leaderboard.build` takes (the statistics before it are timed apart), the size of what it
writes, and in headless Chromium, from a file, the milliseconds from the start of the navigation until

- ``interactive``  a click on a column's head has sorted the table,
- ``first_text``   the browser of verdicts shows its first prompt with both completions,
- ``compared``     the compare view shows its first prompt,

and the seconds a search through all texts of one row, and of all rows, takes. The result goes to
``benchmarks/results/site.json``. Two minutes on two cores; let nothing else run beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness import leaderboard  # noqa: E402
from harness.aggregate import compare, estimate  # noqa: E402
from tests.chromium import BROWSER, DRIVER, Browser  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "site.json"
LIMITS = {"build_seconds": 20, "interactive_milliseconds": 1000}
WORDS = (
    "the of and to in a is that for it as was with be by on not he this are or his from at which but have an had they "
    "you were their one all we can her has there been if more when will would who so no bridge river model answer "
    "question because language training reward length prompt example water system number measure result should first"
).split()


def main() -> None:
    """Build the synthetic board, open it, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=805)
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="leave the board in this directory")
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)) / "board"
        result = build(folder, arguments.rows, arguments.prompts)
        result |= opened(folder, arguments.opens) if BROWSER and DRIVER else {"browser": None}
    result |= {"limits": LIMITS, **machine()}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def build(folder: Path, rows: int, prompts: int) -> dict[str, Any]:
    """Statistics, then the timed build."""
    samples = {f"model-{number:02}": answers(number, prompts) for number in range(rows)}
    begin = time.perf_counter()
    verdicts = {name: [verdict(name, line) for line in lines] for name, lines in samples.items()}
    comparison = compare(verdicts)
    described = [
        {"row": name, "variant": f"variant-{number % 5}", "preference_stage": ("none", "dpo")[number % 2]}
        | {"objective": "sft", "learning_rate": (1e-5, 2e-5, 5e-5, 1e-4)[number // 5 % 4], "seed": 0}
        | {"rank": comparison["ranks"][name], **estimate(verdicts[name])}
        for number, name in enumerate(samples)
    ]
    begin, statistics_seconds = time.perf_counter(), time.perf_counter() - begin
    board = {"board": "large", "title": "A large board", "baseline": "model-00", "comparison": comparison}
    leaderboard.build(board, described, samples, folder)
    seconds = time.perf_counter() - begin
    written = [path for path in folder.rglob("*") if path.is_file()]
    pages = [path for path in written if path.parent.name == "pages"]
    return {
        "rows": rows,
        "prompts": prompts,
        "mean_characters": round(statistics.fmean(len(s["completion"]) for lines in samples.values() for s in lines)),
        "statistics_seconds": round(statistics_seconds, 2),
        "build_seconds": round(seconds, 2),
        "files": len(written),
        "megabytes": round(sum(path.stat().st_size for path in written) / 1e6, 1),
        "largest_page_kilobytes": round(max(path.stat().st_size for path in pages) / 1e3),
    }


def answers(row: int, prompts: int) -> list[dict[str, Any]]:
    """One row's samples, with both orders of a judge; the prompts are the same for every row."""
    generator, asked = random.Random(row), random.Random(-1)
    return [
        {
            "prompt_id": f"prompt-{number:03}",
            "part": ("helpful", "koala", "oasst")[number % 3],
            "family": f"family-{number % 12}",
            "prompt": sentence(asked, 28),
            "completion": completion(generator),
            "baseline_completion": None,
            "score": None,
            "preference": 0.5 if row == 0 else generator.choice([0.0, 0.5, 1.0]),
            "finish_reason": "stop",
            "completion_tokens": 450,
            "verdicts": [
                {"order": order, "label": "m", "preference": generator.choice([0.0, 1.0]), "raw_text": "m"}
                for order in ("baseline_first", "model_first")
            ],
        }
        for number in range(prompts)
    ]


def completion(generator: random.Random) -> str:
    """About 2,000 characters: paragraphs, and in half of them a heading, a list, code or a table."""
    blocks = [sentence(generator, 60)]
    while sum(map(len, blocks)) < 1750:
        kind = generator.random()
        if kind < 0.5:
            blocks.append(" ".join(sentence(generator, 18) for _ in range(4)))
        elif kind < 0.7:
            blocks.append(
                "\n".join(f"{n}. **{sentence(generator, 3)}**: {sentence(generator, 14)}" for n in range(1, 5))
            )
        elif kind < 0.8:
            blocks.append(f"## {sentence(generator, 4)}\n\n{sentence(generator, 40)} `{generator.choice(WORDS)}`")
        elif kind < 0.9:
            blocks.append(
                "```python\n" + "\n".join(f"{a} = {b}({a})" for a, b in zip(WORDS, WORDS[9:18], strict=False)) + "\n```"
            )
        else:
            blocks.append("| a | b |\n|---|---|\n" + "\n".join(f"| {sentence(generator, 3)} | {n} |" for n in range(5)))
    return "\n\n".join(blocks)


def sentence(generator: random.Random, words: int) -> str:
    """Words with a capital at the front and a full stop at the end."""
    return " ".join(generator.choices(WORDS, k=words)).capitalize() + "."


def verdict(name: str, sample: dict[str, Any]) -> dict[str, Any]:
    """What the statistics read of a sample."""
    length = len(sample["completion"])
    return {
        "model": name,
        "baseline": "model-00",
        "length_model": length,
        "length_baseline": 2000 + len(sample["prompt"]),
        "truncated": False,
        "empty": False,
        **{key: sample[key] for key in ("prompt_id", "part", "family", "preference", "score", "completion_tokens")},
    }


# tries from the first moment on: the time of the first click that a handler answered
CLICKER = """
  const press = () => {
    const head = [...document.querySelectorAll("#table-all thead th")].find((cell) => cell.textContent === "Win rate");
    head?.querySelector("button").click();
    if (head?.hasAttribute("aria-sort")) window.interactive = performance.now();
    else setTimeout(press, 2);
  };
  const watch = () => {
    if (document.querySelectorAll("#reader .answer .text-box").length === 2) window.shown = performance.now();
    else setTimeout(watch, 2);
  };
  press(); watch();
"""


def opened(folder: Path, times: int) -> dict[str, Any]:
    """Times in the browser, the median and the worst of several fresh openings."""
    browser = Browser()
    try:
        browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CLICKER})
        result: dict[str, Any] = {"browser": f"Chromium {browser.driver.capabilities['browserVersion']}"}
        kinds = (
            ("interactive", "index", "interactive"),
            ("first_text", "browse", "shown"),
            ("compared", "compare", "shown"),
        )
        for name, page, mark in kinds:
            found = [_open(browser, folder / f"{page}.html", mark) for _ in range(times)]
            result[f"{name}_milliseconds"] = {"median": round(statistics.median(found)), "worst": round(max(found))}
        result["search_row_seconds"] = _search(browser, folder, "model-01")
        result["search_all_rows_seconds"] = _search(browser, folder, "*")
        return result
    finally:
        browser.close()


def _open(browser: Browser, page: Path, mark: str) -> float:
    browser.driver.get("about:blank")
    browser.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.driver.get(page.as_uri())
    return float(str(browser.until(f"return window.{mark}")))


def _search(browser: Browser, folder: Path, row: str) -> float:
    """Seconds until every text has been searched for a word that none has."""
    browser.open(folder / "browse.html", f"#row={row}")
    script = """const done = arguments[0], field = document.getElementById("q"), begin = performance.now();
        field.value = "zyzzyva";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        const watch = () => document.getElementById("reader").textContent === "No prompt matches."
          ? done((performance.now() - begin) / 1000) : setTimeout(watch, 10);
        watch();"""
    browser.driver.set_script_timeout(120)
    return round(float(browser.driver.execute_async_script(script)), 2)


def machine() -> dict[str, Any]:
    """Where and of which commit."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    cpu = next((line for line in _cpu_lines() if line.startswith("model name")), ": unknown")
    return {
        "command": "make bench-site",
        "commit": commit.stdout.strip(),
        "machine": {"cpu": cpu.split(":", 1)[1].strip(), "cores": os.cpu_count(), "system": platform.system()},
        "python": platform.python_version(),
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
