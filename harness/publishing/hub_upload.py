"""A directory → a repository on a Hugging Face hub. Nothing is sent before somebody says ``--yes``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, EnvironmentFault, did_you_mean
from harness.models import hub_faults

TARGET = re.compile(
    r"^hub:(?P<kind>[a-z]+)/(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*)(@(?P<revision>[\w./-]+))?$"
)
KINDS = {"datasets": "dataset", "spaces": "space", "models": "model"}


@dataclass(frozen=True)
class Target:
    """Where to."""

    kind: str
    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hub:{self.kind}/{self.repo}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> Target:
    """``hub:datasets|spaces|models/org/name[@revision]``. Raises ConfigError for anything else."""
    match = TARGET.match(text)
    if match is None or match["kind"] not in KINDS:
        hint = did_you_mean(match["kind"], KINDS) if match else ""
        raise ConfigError(f'"{text}" is no place on a hub.{hint}', "it looks like hub:datasets/org/name")
    return Target(match["kind"], match["repo"], match["revision"])


def contents(directory: Path) -> list[tuple[str, int]]:
    """(name, bytes) of every file, as it would be uploaded."""
    return [
        (str(path.relative_to(directory)), path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]


def announcement(directory: Path, target: Target, most: int = 20) -> str:
    """What would be uploaded: every file at the top, folders summed up, and the total."""
    found = contents(directory)
    groups: dict[str, tuple[int, int]] = {}
    for name, size in found:
        top = name.partition("/")[0] + "/" if "/" in name else name
        count, total = groups.get(top, (0, 0))
        groups[top] = (count + 1, total + size)
    lines = [
        f"  {name:<32} {_size(total):>10}" + (f"  {count} files" if name.endswith("/") else "")
        for name, (count, total) in list(groups.items())[:most]
    ]
    lines += [f"  … and {len(groups) - most} more"] if len(groups) > most else []
    return "\n".join([f"{target}: {len(found)} files, {_size(sum(size for _, size in found))}", *lines])


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def upload(directory: Path, target: Target, message: str, *, private: bool = False) -> str:
    """Create the repository if need be and commit the directory's files to it; returns the commit's address.

    The key is the one that ``huggingface_hub`` finds (HF_TOKEN); it never stands in a message. Raises
    EnvironmentFault where the hub refuses.
    """
    api = _api()
    kind = KINDS[target.kind]
    extra: dict[str, Any] = {"space_sdk": "static"} if kind == "space" else {}
    with hub_faults(str(target), UPLOAD_HINT):
        api.create_repo(target.repo, repo_type=kind, private=private, exist_ok=True, **extra)
        done = api.upload_folder(
            repo_id=target.repo,
            repo_type=kind,
            folder_path=directory,
            commit_message=message,
            revision=target.revision,
        )
    return str(done.commit_url)


UPLOAD_HINT = "check the name, the network, and that HF_TOKEN may write there; nothing else was changed"


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise EnvironmentFault("the package huggingface_hub is missing.", "pip install 'bridgebench[hub]'") from None
    return HfApi()
