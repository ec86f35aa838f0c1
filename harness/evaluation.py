"""One checkpoint × one benchmark → the stages prompts ─► generate ─► judge ─► aggregate, nothing run yet.

The same for every row, whoever made its checkpoint: `harness.plan` lays out the matrix and asks here for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness import benchmarks, files
from harness.config import Benchmark, DataSource, Evaluation, Generate, Statistics
from harness.data import sources
from harness.endpoint.settings import EndpointSettings
from harness.errors import ConfigError
from harness.judges.settings import REFERENCE, Rules
from harness.judging import Judging
from harness.serving import serving_dtype, tensor_parallel
from harness.stage import Stage
from harness.turns import second_turn


@dataclass(frozen=True)
class Evaluated:
    """A row's stages on one benchmark."""

    benchmark: str
    generate: Stage
    judge: Stage
    aggregate: Stage


class Evaluator:
    """Lays out stages for one benchmark; holds what its rows share: the prompts and the settings."""

    def __init__(self, settings: Evaluation, statistics: Statistics, device: str, cache: Path | None = None) -> None:
        self.settings, self.statistics, self.device = settings, statistics, device
        self.rows = _rows(settings.benchmark)
        self.rows_sha256 = sources.content_digest(self.rows)
        self._prompts: dict[str, Stage] = {}
        self.judging = Judging(settings.judge, device, cache)

    @property
    def name(self) -> str:
        """What boards call the benchmark."""
        return self.settings.name

    def prompts(self, model: Stage) -> Stage:
        """The prompts as ``model``'s tokenizer and template render them; one stage for all rows of a model."""
        if model.key not in self._prompts:
            limit = prompt_limit(self.settings.generate)
            self._prompts[model.key] = tokenize_stage(
                self.settings.benchmark, self.rows, self.rows_sha256, "prompts", limit, model
            )
        return self._prompts[model.key]

    def generate(self, label: str, checkpoint: Stage, prompts: Stage) -> Stage:
        """Answers of ``checkpoint`` to ``prompts`` by the recipe's engine."""
        settings = self.settings.generate
        identity = {
            "backend": settings.backend,
            "dtype": serving_dtype(settings.dtype, self.device),
            "device": self.device,
            "chunk_size": settings.chunk_size,
            "max_model_len": settings.max_model_len,
            "sampling": settings.model_dump(include={"max_new_tokens", "temperature", "top_p", "seed"}),
            **tensor_parallel(settings.tensor_parallel, settings.backend, self.device),
        }
        execution = {"kv_cache_gib": settings.kv_cache_gib}
        return Stage("generate", label, identity, {"model": checkpoint, "prompts": prompts}, execution)

    def plain_prompts(self) -> Stage:
        """The prompts as messages, for answers that no tokenizer of ours has a part in."""
        return Stage(
            "prompts",
            f"{self.settings.benchmark.source} {self.settings.benchmark.split}",
            {"rows_sha256": self.rows_sha256},
            execution={"rows": len(self.rows)},
            prepare=partial(_write_rows, self.rows),
        )

    def endpoint(self, label: str, endpoint: EndpointSettings) -> Stage:
        """Answers of a model behind an OpenAI-compatible endpoint."""
        sampling = self.settings.generate.model_dump(include={"max_new_tokens", "temperature", "top_p", "seed"})
        identity = {"backend": "openai", "endpoint": endpoint.identity, "sampling": sampling}
        return Stage("generate", label, identity, {"prompts": self.plain_prompts()}, {"endpoint": endpoint})

    def stored(self, label: str, outputs: Path, digest: str, max_missing: float) -> Stage:
        """Answers that were stored elsewhere, known by their content."""
        allowed = {"max_missing": max_missing} if max_missing else {}
        identity = {"backend": "precomputed", "outputs_sha256": digest, **allowed}
        return Stage("generate", label, identity, {"prompts": self.plain_prompts()}, {"outputs": str(outputs)})

    def reference(self) -> Stage:
        """The outputs that the benchmark brings along, as answers to its prompts."""
        path = benchmarks.reference_outputs(self.settings.benchmark)
        stage = self.stored(REFERENCE, path, files.sha256_file(path), 0.0)
        stage.execution["only_asked"] = True
        return stage

    def judged(self, row: str, generate: Stage, baseline: Stage | None) -> Evaluated:
        """The judge and aggregate stages of a row, against the completions of the baseline if its judge compares."""
        turns = [generate]
        if any("second_turn" in prompt for prompt in self.rows):
            turns.append(second_turn(generate, self.rows, self.rows_sha256))
        judge = self.judging.stage(row, turns, baseline)
        return Evaluated(self.name, generate, judge, self._aggregate(row, judge))

    def _aggregate(self, row: str, judge: Stage) -> Stage:
        settings = self.statistics.model_dump()
        if not isinstance(self.settings.judge, Rules):
            settings["protocol"] = self.settings.judge.protocol
            settings["version"] = getattr(self.settings.judge, "version", None)
        return Stage("aggregate", row, settings, {"verdicts": judge})


def _rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    if benchmarks.is_public(benchmark.source):
        return benchmarks.load(benchmark)
    return sources.load_rows(benchmark, "prompts")


def tokenize_stage(
    source: DataSource, rows: list[dict[str, Any]], digest: str, form: sources.Format, max_length: int, model: Stage
) -> Stage:
    """``rows`` rendered to token ids by ``model``'s tokenizer; known by their content, not by where they came from."""
    return Stage(
        "tokenize",
        f"{source.source} {source.split}",
        {"rows_sha256": digest, "format": form, "max_length": max_length},
        {"model": model},
        execution={"rows": len(rows)},
        prepare=partial(_write_rows, rows),
    )


def _write_rows(rows: list[dict[str, Any]], directory: Path) -> None:
    files.write_jsonl(directory / "rows.jsonl", rows)


def prompt_limit(generate: Generate) -> int:
    """Tokens a prompt may have so that a whole completion still fits. Raises ConfigError if none may."""
    limit = generate.max_model_len - generate.max_new_tokens
    if limit < 1:
        raise ConfigError(
            f"generate.max_new_tokens ({generate.max_new_tokens}) leaves no room for a prompt in "
            f"generate.max_model_len ({generate.max_model_len})."
        )
    return limit
