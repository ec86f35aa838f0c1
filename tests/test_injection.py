"""Names and texts of strangers in scripts, terminals, pages and tables: they are shown, and change nothing else."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness import files, models, recipe_file
from harness.board_evidence import Board, PublishedEvidence
from harness.boards import reproduce
from harness.errors import BridgebenchError, ConfigError, IntegrityError
from harness.leaderboard import corpus, fields, pages
from harness.models import PYPI_PATTERN
from harness.publishing import formats
from tests import leaderboard_content

KEY = "0123456789abcdef"


def hostile_board(tmp_path: Path, word: str) -> Board:
    """A board in which whatever is a text says ``word``."""
    folder, stage = tmp_path / "theirs", {"judge": f"judge/{KEY}", word: f"judge/{KEY}"}
    told = dict.fromkeys(("label", "recipe", "command"), word) | {
        "machine": {"cpu": word},
        "versions": {word: word},
    }
    files.write_json(
        folder / "evidence" / "judge" / KEY / "manifest.json",
        {"kind": "judge", "key": KEY, "files": {word: {"sha256": word}}, "identity": {"device": word}, **told},
    )
    rows = [{"row": "a", "origin": word, "seed": word, "stage_keys": stage}]
    files.write_json(
        folder / "data.json", {"board": word, "title": word, "recipe": {"description": word}, "rows": rows}
    )
    return Board(folder, PublishedEvidence(folder))


WORDS = (
    "x; touch ran #", "$(touch ran)", "`touch ran`", "a\ntouch ran\n", "a' && touch ran; '", "RECIPE\ntouch ran\n",
    "\r\ntouch ran", "\u2028touch ran", "-n", "|touch ran", "&touch ran&", 'a" "$(touch ran)', "\\\ntouch ran", "../x",
)  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_the_script_of_reproduce_runs_its_own_commands_and_no_others(word: str, tmp_path: Path) -> None:
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)
    for name in ("git", "make", "bridgebench"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho {name} >> "{tmp_path}/asked"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    script = reproduce.commands(hostile_board(tmp_path, word), "a")
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-eu"], input=script, text=True, cwd=here, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().split() == ["make", "bridgebench"]
    assert len(list(here.iterdir())) == 1
    assert not list(tmp_path.rglob("ran"))


def test_a_recipe_that_is_a_text_cannot_end_the_script_before_its_end(tmp_path: Path) -> None:
    found = hostile_board(tmp_path, "plain")
    found.data["recipe"] = "RECIPE"
    script = reproduce.commands(found, "a")
    assert script.count("\nRECIPE\n") == 1
    assert re.search(r"<<'RECIPE_[0-9a-f]{12}'\nRECIPE\n", script)


def test_a_commit_that_is_none_is_not_checked_out(tmp_path: Path) -> None:
    found = hostile_board(tmp_path, "plain")
    path = found.directory / "evidence" / "judge" / KEY / "manifest.json"
    files.write_json(path, files.read_json(path) | {"commit": "--upload-pack=touch ran"})
    with pytest.raises(IntegrityError, match="which is none"):
        reproduce.commands(found, "a")


@pytest.mark.parametrize(
    "reference", ["pypi:-r==x", "pypi:--index-url==x", "hub:a/b@../../c", "hub:-a/b", "pypi:a==1 b"]
)
def test_a_model_reference_is_no_option_of_a_program(reference: str, tmp_path: Path) -> None:
    assert PYPI_PATTERN.match(reference) is None
    with pytest.raises(ConfigError):
        models.resolve(models.ModelReference(reference=reference), tmp_path)


def test_no_text_of_a_recipe_or_an_error_can_command_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text('name: x\ntitle: "\\e]0;owned\\a"\n')
    with pytest.raises(ConfigError, match=r"line 2: a text holds the control character U\+001B"):
        recipe_file.load(str(path))
    assert BridgebenchError("\x1b[2J\ud800 gone", "a\x07\nb").show() == "error: ?[2J? gone\n       a?\n       b"


class Shape(HTMLParser):
    """Elements and attribute names of a page: what its texts must not change."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[" ".join([tag, *sorted(name for name, _ in attrs)])] += 1


HTML = "<script>x=1</script><img src=x onerror=y>\"'><svg onload=z></title></style><!-- {{ 7*7 }} ${x} ](javascript:x)"
TEXTS = ("title", "description", "base", "benchmark", "judge", "created", "machine")


def site(folder: Path, word: str) -> dict[str, Shape]:
    """Every page of a board whose names and descriptions hold ``word``."""
    described, rows, lines, stages = leaderboard_content.content()
    lines = {name: samples[:3] for name, samples in lines.items()}
    described = described | dict.fromkeys(TEXTS, word) | {"notes": [word], "commits": [word], "versions": {word: word}}
    described["recipe"] = {"title": word, word: word}
    for row in rows:
        row |= {
            "source": word,
            "external": "checkpoint",
            "provenance": [{"stage": f"train/{word}", "command": word, "commit": word}],
        }
    complete = [fields.complete(row) for row in rows]
    pages.write(described, complete, corpus.collect(described, complete, lines), stages, folder, {})
    return {str(path.relative_to(folder)): Shape(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}


def test_no_name_changes_the_elements_of_a_page(tmp_path: Path) -> None:
    plain, hostile = site(tmp_path / "plain", "word"), site(tmp_path / "hostile", HTML)
    assert plain.keys() == hostile.keys()
    assert len(plain) > 4
    for name, page in plain.items():
        assert page.seen == hostile[name].seen, name


def test_a_boards_name_ends_no_command_of_latex(tmp_path: Path) -> None:
    text = formats.latex({"board": "}\\input{/etc/passwd}", "title": "\\write18{x}"}, [])
    assert "\\input" not in text
    assert "\\write" not in text
