"""The shape of the code: light imports, no cycles, two packages that do not know each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "vllm", "transformers", "datasets", "ray", "fsspec"}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package in ("harness", "trainers"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, top_level_only: bool) -> set[str]:
    """Names that a module imports: ``from a import b`` is ``a.b`` where that is a module, else ``a``."""
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= full & set(modules()) or {node.module}
    return names


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import harness.cli, sys; heavy = {HEAVY!r} & set(sys.modules); assert not heavy, heavy"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_there_is_no_import_cycle() -> None:
    known = modules()
    graph = {
        name: {other for other in imports(path, top_level_only=True) & set(known) if other != name}
        for name, path in known.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(("package", "stranger"), [("trainers", "harness"), ("harness", "trainers")])
def test_the_two_packages_do_not_import_each_other(package: str, stranger: str) -> None:
    for name, path in modules().items():
        if name.split(".")[0] == package:
            roots = {imported.split(".")[0] for imported in imports(path, top_level_only=False)}
            assert stranger not in roots, name


def test_the_trainers_import_five_packages_and_are_written_for_python_3_11() -> None:
    allowed = {"torch", "transformers", "numpy", "safetensors", "pydantic", "trainers", *sys.stdlib_module_names}
    for name, path in modules().items():
        if name.startswith("trainers"):
            ast.parse(path.read_text("utf-8"), feature_version=(3, 11))
            roots = {imported.split(".")[0] for imported in imports(path, top_level_only=True)}
            assert roots <= allowed, name


def test_no_trainer_file_is_longer_than_300_lines() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if name.startswith("trainers") and length > 300} == {}


def test_the_trainers_need_neither_a_serving_engine_nor_a_data_set_library() -> None:
    for name, path in modules().items():
        if name.startswith("trainers"):
            roots = {imported.split(".")[0] for imported in imports(path, top_level_only=False)}
            assert not roots & {"vllm", "datasets", "trl"}, name


def test_every_test_that_a_document_names_exists() -> None:
    written = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"\btest_\w+(?=[`(])", page.read_text("utf-8")):
            assert f"def {name}(" in written, f"{page.name}: {name}"
