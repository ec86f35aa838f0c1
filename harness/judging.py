"""How one benchmark's rows are judged: the judge's stages, nothing run yet.

completions, baseline, prompts ─────────────────────► judge      rules, or a judge behind an endpoint
            └─► tokenize (questions) ─► scores ─────► judge      a judge served here: one engine for all rows
convert (judge model) ┘
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from harness import files, models
from harness.errors import ConfigError
from harness.external import ModelReference
from harness.judges import judge_identity, served
from harness.judges.settings import (
    AlpacaEvalJudge,
    ArenaHardJudge,
    Judge,
    MtBenchJudge,
    PairwiseJudge,
    RewardModelJudge,
    Rules,
)
from harness.serving import serving_dtype, tensor_parallel
from harness.stage import Stage
from harness.store import Store

Asking = AlpacaEvalJudge | ArenaHardJudge | MtBenchJudge | PairwiseJudge


class Judging:
    """Lays out the judge stages of one benchmark; a judge model served here is resolved once.

    Raises ConfigError for a judge that is not there: an unknown configuration, prompt file or model.
    """

    def __init__(self, judge: Judge, device: str, cache: Path | None) -> None:
        self.judge, self.device = judge, device
        self.model: Stage | None = None
        if isinstance(judge, PairwiseJudge | RewardModelJudge) and judge.model is not None:
            self.model = _converted(judge, cache)
        self.identity = judge_identity(judge, self.asked_of)

    @property
    def asked_of(self) -> dict[str, Any] | None:
        """The identity of a judge model that is served here."""
        return None if self.model is None else {"model": self.model.identity, **self.serving()}

    def serving(self) -> dict[str, Any]:
        """The identity of the engine that serves the judge model here."""
        judge = self.judge
        if isinstance(judge, RewardModelJudge):
            dtype = serving_dtype(judge.dtype, self.device, "judge.dtype")
            return {
                "backend": "transformers",
                "dtype": dtype,
                "device": self.device,
                "head": "reward",
                "chunk_size": judge.chunk_size,
                "max_model_len": judge.max_length,
            }
        assert isinstance(judge, PairwiseJudge)
        return {
            **judge.served.model_dump(include={"backend", "chunk_size", "max_model_len"}),
            "dtype": serving_dtype(judge.served.dtype, self.device, "judge.served.dtype"),
            "device": self.device,
            **tensor_parallel(
                judge.served.tensor_parallel, judge.served.backend, self.device, "judge.served.tensor_parallel"
            ),
        }

    def stage(self, row: str, completions: list[Stage], baseline: Stage | None) -> Stage:
        """The judge stage of a row; ``completions`` has one stage a turn."""
        names = {"model": row, "baseline": self.judge.baseline}
        inputs = {"completions": completions[0], "prompts": completions[0].inputs["prompts"]}
        inputs |= {f"completions_{turn}": stage for turn, stage in enumerate(completions[1:], 2)}
        if baseline is not None:
            inputs["baseline"] = baseline
        if self.model is not None:
            inputs["scores"] = self._scores(row, inputs)
        # a rules stage is as it has always been, also in what a manifest says of it
        execution = {} if isinstance(self.judge, Rules) else {"judge": self.judge, "asked_of": self.asked_of}
        return Stage("judge", row, self.identity | names, inputs, execution)

    def _scores(self, row: str, inputs: dict[str, Stage]) -> Stage:
        assert self.model is not None
        serving = self.serving()
        questions = Stage(
            "tokenize",
            f"questions about {row}",
            {"questions": self.identity, "format": "prompts", "max_length": serving["max_model_len"] - 8},
            {"model": self.model, **inputs},
            prepare=partial(_write_questions, self.judge, self.asked_of, inputs),
        )
        kv_cache = self.judge.served.kv_cache_gib if isinstance(self.judge, PairwiseJudge) else 0.0
        return Stage("scores", row, serving, {"model": self.model, "prompts": questions}, {"kv_cache_gib": kv_cache})


def _converted(judge: PairwiseJudge | RewardModelJudge, cache: Path | None) -> Stage:
    if cache is None:
        raise ConfigError(f"the judge {judge.name} is served here, which needs a store.")
    reference = ModelReference(reference=str(judge.model), sha256=judge.sha256)
    resolved = models.resolve(reference, cache)
    head = {"head": "reward"} if isinstance(judge, RewardModelJudge) else {}
    return Stage(
        "convert", "judge model", resolved.identity | head, execution={"fetch": lambda: resolved.fetch() | head}
    )


def _write_questions(judge: Any, asked_of: Any, inputs: dict[str, Stage], out: Path) -> None:
    store = Store(out.parent.parent)
    files.write_jsonl(out / "rows.jsonl", served.rows(judge, asked_of, store, inputs))
