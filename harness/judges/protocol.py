"""Judge settings → the protocol that asks and reads."""

from __future__ import annotations

from typing import Any

from harness.errors import ConfigError
from harness.judges.question import JudgeProtocol
from harness.judges.settings import AlpacaEvalJudge, ArenaHardJudge, MtBenchJudge, PairwiseJudge


def protocol_of(judge: Any, asked_of: dict[str, Any] | None = None) -> JudgeProtocol:
    """The protocol of a judge that asks questions; ``asked_of`` is the identity of a model served here."""
    if isinstance(judge, AlpacaEvalJudge):
        from harness.judges.alpaca import AlpacaEval

        return AlpacaEval(judge)
    if isinstance(judge, ArenaHardJudge):
        from harness.judges.arena import ArenaHard

        return ArenaHard(judge)
    if isinstance(judge, MtBenchJudge):
        from harness.judges.mtbench import MtBench

        return MtBench(judge)
    if isinstance(judge, PairwiseJudge):
        from harness.judges.pairs import Pairwise

        return Pairwise(judge, asked_of)
    raise ConfigError(f"the judge {judge.name} asks no questions.")
