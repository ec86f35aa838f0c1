"""``models pull``: fetch and convert one base model without a recipe."""

from __future__ import annotations

from pathlib import Path

from harness import models, progress, specs
from harness.errors import StageFailed
from harness.executors.local import LocalExecutor
from harness.external import ModelReference
from harness.external_rows import convert_stage
from harness.inspection import Requirements
from harness.store import Store


def pull(reference: str, store: Store, *, quiet: bool = False) -> Path:
    """The directory of the converted checkpoint. Raises BridgebenchError."""
    store.prepare()
    resolved = models.resolve(ModelReference(reference=reference, sha256=None), store.root / "downloads")
    stage = convert_stage(resolved, "base model", Requirements(conversations=()))
    executor = LocalExecutor(store, progress.choose(as_json=False, quiet=quiet))
    outcome = executor.run_stages([stage], "models pull")
    if outcome.failed:
        raise StageFailed(f"{reference} could not be converted: {outcome.failed[stage.name]}", exit_code=3)
    return specs.directory(store, stage) / "checkpoint"
