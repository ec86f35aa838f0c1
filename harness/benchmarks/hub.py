"""One file of a benchmark from the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubFile:
    """A file of a hub repository."""

    repo: str
    name: str
    kind: str = "dataset"
    revision: str = "main"


def fetch(file: HubFile) -> Path:
    """Its local copy, downloaded once. Raises EnvironmentFault naming it where the hub does not give it."""
    from huggingface_hub import hf_hub_download

    from harness.models import hub_faults

    with hub_faults(f"{file.name} of hub:{file.repo}"):
        return Path(hf_hub_download(file.repo, file.name, repo_type=file.kind, revision=file.revision))
