"""Public benchmarks by name: their prompts, and the reference outputs that a row is compared with.

Each is one file with ``SIZES`` (how many prompts the whole benchmark has), ``questions`` and ``OUTPUTS``. A benchmark
of one's own is a file or a hub data set, and ``builtin:microtasks`` is made here: `harness.data.sources` reads those.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from harness.benchmarks import alpaca_eval, arena_hard, hub, mt_bench
from harness.config import Benchmark
from harness.errors import ConfigError, did_you_mean

Row = dict[str, Any]

NAMES: dict[str, tuple[ModuleType, str]] = {
    "alpaca_eval": (alpaca_eval, ""),
    "arena_hard_v0.1": (arena_hard, "v0.1"),
    "arena_hard_v2": (arena_hard, "v2"),
    "mt_bench": (mt_bench, ""),
}


def is_public(source: str) -> bool:
    """Whether ``source`` names one of these. Raises ConfigError for a near miss that is no file."""
    if source in NAMES:
        return True
    near = did_you_mean(source, NAMES)
    if near and ":" not in source and not Path(source).exists():
        raise ConfigError(f'there is no benchmark "{source}".{near}', f"known: {', '.join(NAMES)}")
    return False


def load(benchmark: Benchmark) -> list[Row]:
    """The prompts, in the benchmark's order: ``{id, messages, part, family, …}``.

    Raises ConfigError for a file of another shape or size; ``rows`` asks for the first ones alone.
    """
    module, version = NAMES[benchmark.source]
    path = Path(benchmark.path).expanduser() if benchmark.path else hub.fetch(module.QUESTIONS[version])
    if not path.is_file():
        raise ConfigError(f"{benchmark.source}: there is no file {benchmark.path}.")
    rows: list[Row] = module.questions(path, version, benchmark)
    if benchmark.rows is not None:
        return rows[: benchmark.rows]
    sizes = module.SIZES[version]
    if len(rows) not in sizes:
        raise ConfigError(
            f"{path} has {len(rows)} prompts; {benchmark.source} has {' or '.join(map(str, sizes))}.",
            "a rate over others compares with no published one; rows: N   takes the first N on purpose",
        )
    return rows


def reference_outputs(benchmark: Benchmark) -> Path:
    """The file of the reference model's outputs. Raises ConfigError for a benchmark that has none."""
    if benchmark.baseline_outputs is not None:
        path = Path(benchmark.baseline_outputs).expanduser()
        if not path.is_file():
            raise ConfigError(f"benchmark.baseline_outputs: there is no file {benchmark.baseline_outputs}.")
        return path
    if benchmark.source not in NAMES:
        raise ConfigError(
            f"{benchmark.source} brings no reference outputs along.",
            "name a row as judge.baseline, or a file as benchmark.baseline_outputs",
        )
    module, version = NAMES[benchmark.source]
    if module is alpaca_eval and benchmark.path is not None:
        return Path(benchmark.path).expanduser()  # its public file holds the reference's outputs too
    if version not in module.OUTPUTS:
        raise ConfigError(f"{benchmark.source} compares with no reference.", "its judge rates each answer alone")
    return hub.fetch(module.OUTPUTS[version])
