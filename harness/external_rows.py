"""The rows of a recipe that were not trained here → their stages: one pipeline, entered at another door.

checkpoint ── convert ─► tokenize ─► generate ─► …      (a LoRA adapter is merged into its converted base)
endpoint   ───────────── prompts ─► generate ─► …
outputs    ───────────── prompts ─► generate ─► …       (nothing is generated; stored texts are matched to prompts)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import files, models
from harness.errors import ConfigError
from harness.evaluation import Evaluator
from harness.external import External
from harness.inspection import Requirements
from harness.stage import Stage


@dataclass(frozen=True)
class Candidate:
    """A row before it meets a benchmark: what it is, and the stage that answers a benchmark's prompts."""

    name: str
    description: dict[str, Any]
    answers: Callable[[Evaluator], Stage]
    model: Stage | None = None
    train: list[Stage] = field(default_factory=list)


def candidate(name: str, external: External, cache: Path, requirements: Requirements) -> Candidate:
    """The row ``name``. Raises BridgebenchError where what it names is not there or cannot be what it should."""
    described = {"variant": name, "external": _door(external), "source": external.source}
    if external.endpoint is not None:
        endpoint = external.endpoint
        return Candidate(name, described, lambda evaluator: evaluator.endpoint(name, endpoint))
    if external.outputs is not None:
        path = Path(external.outputs).expanduser()
        if not path.is_file():
            raise ConfigError(f"{name}: there is no outputs file {external.outputs}.")
        digest, allowed = files.sha256_file(path), external.max_missing
        return Candidate(name, described, lambda evaluator: evaluator.stored(name, path, digest, allowed))
    model = _model(name, external, cache, requirements)
    return Candidate(
        name, described, lambda evaluator: evaluator.generate(name, model, evaluator.prompts(model)), model
    )


def _door(external: External) -> str:
    if external.endpoint is not None:
        return "endpoint"
    if external.outputs is not None:
        return "outputs"
    return "adapter" if external.base is not None else "checkpoint"


def _model(name: str, external: External, cache: Path, requirements: Requirements) -> Stage:
    assert external.checkpoint is not None  # External takes exactly one of three
    requirements = replace(requirements, trust_remote_code=external.trust_remote_code)
    inputs: dict[str, Stage] = {}
    if external.base is not None:
        inputs["base"] = convert_stage(models.resolve(external.base, cache), f"base of {name}", requirements)
    adapter = models.resolve_adapter if external.base is not None else models.resolve
    resolved = adapter(external.checkpoint, cache)
    return convert_stage(resolved, name, requirements, inputs, external.chat_template)


def convert_stage(
    resolved: models.ResolvedModel,
    label: str,
    requirements: Requirements,
    inputs: dict[str, Stage] | None = None,
    chat_template: str | None = None,
) -> Stage:
    """The stage that makes a checkpoint of what ``resolved`` names. Raises ConfigError for a missing template file."""
    identity, execution = dict(resolved.identity), {"fetch": resolved.fetch, "requirements": requirements}
    if chat_template is not None:
        path = Path(chat_template).expanduser()
        if not path.is_file():
            raise ConfigError(f"{label}: there is no template file {chat_template}.")
        identity["chat_template_sha256"] = files.sha256_file(path)
        execution["chat_template"] = str(path.absolute())
    return Stage("convert", label, identity, inputs or {}, execution)
