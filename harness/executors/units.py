"""What of a plan can run now: who runs a stage, which stages one engine serves together, how they are shared out."""

from __future__ import annotations

from collections.abc import Iterator

from harness import files, memory, specs
from harness.config import Resources
from harness.stage import Stage, in_order
from harness.store import Store

TRAINER_KINDS = ("convert", "tokenize", "reference", "train", "analyze")
ENGINE_KINDS = ("generate", "scores")
ENGINES = ("vllm", "transformers")


def worker(stage: Stage) -> str:
    """Who runs a stage: ``trainer``, ``engine``, or the ``driver`` itself (endpoints and stored outputs included)."""
    if stage.kind in TRAINER_KINDS:
        return "trainer"
    return "engine" if stage.kind in ENGINE_KINDS and stage.identity["backend"] in ENGINES else "driver"


def slots_of(stage: Stage, resources: Resources) -> int:
    """Slots that a trainer's or engine's stage holds; only training and vLLM use several."""
    if stage.kind == "train":
        return resources.training_gpus
    gpus: int = stage.identity.get("tensor_parallel", 1)
    return gpus


def gpus_of(stage: Stage, resources: Resources) -> int:
    """GPUs that a stage asks for: on a CPU none, unless the recipe asks for several."""
    slots = slots_of(stage, resources)
    return slots if slots > 1 or stage.identity.get("device") == "cuda" else 0


def host_memory(stage: Stage, store: Store) -> int:
    """Bytes that a stage needs on a CPU, where its model's size tells; else 0."""
    if stage.identity.get("device") != "cpu" or "model" not in stage.inputs:
        return 0
    checkpoint = specs.directory(store, stage.inputs["model"]) / "checkpoint"
    if stage.identity.get("backend") == "vllm":
        return memory.engine_bytes(checkpoint, stage.execution["kv_cache_gib"])
    return memory.training_bytes(checkpoint) if stage.kind == "train" else 0


def shares(groups: list[list[Stage]], places: int) -> Iterator[list[Stage]]:
    """Stages that one engine start serves each, no more shares than ``places`` unless there are more groups.

    A group that one engine could serve is dealt out where several places are free.
    """
    each = max(1, places // len(groups)) if groups else 1
    for group in groups:
        count = min(each, len(group))
        yield from (group[start::count] for start in range(count))


def engine_groups(stages: list[Stage], store: Store) -> Iterator[list[Stage]]:
    """Generate stages that one engine can serve: the same architecture, tokenizer and settings."""
    groups: dict[str, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(_served_alike(stage, store) + files.canonical_json(stage.identity), []).append(stage)
    yield from groups.values()


NOT_ARCHITECTURE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


def _served_alike(stage: Stage, store: Store) -> str:
    """Equal for checkpoints whose weights one engine can swap and whose tokens it decodes alike.

    The architecture is that of the model which training or merging started from: neither changes it.
    """
    root = in_order([stage.inputs["model"]])[0]
    config = specs.directory(store, root) / "checkpoint" / "config.json"
    tokenizer = specs.directory(store, stage.inputs["model"]) / "checkpoint" / "tokenizer.json"
    if not config.is_file() or not tokenizer.is_file():
        return root.key
    kept = {name: value for name, value in files.read_json(config).items() if name not in NOT_ARCHITECTURE}
    return files.sha256_text(files.canonical_json(kept)) + files.sha256_file(tokenizer)
