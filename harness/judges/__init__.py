"""Judges: completions → verdicts."""

from __future__ import annotations

from typing import Any

from harness.judges.settings import Judge, ReplayJudge, RewardModelJudge, Rules


def judge_identity(judge: Judge, asked_of: dict[str, Any] | None = None) -> dict[str, Any]:
    """What makes a judge's verdicts its own, without the outputs it judges. Raises ConfigError for what is not there.

    The rules judge is its name and the digest of its verifiers; a protocol is its template text, sampling parameters,
    parser and judge model (``asked_of``, where that is served here); a replay the content of its file.
    """
    if isinstance(judge, Rules):
        from harness.data import microtasks

        return {"judge": judge.name, "rules_sha256": microtasks.source_digest()}
    identity: dict[str, Any] = {"judge": judge.protocol, "max_missing": judge.max_missing}
    if isinstance(judge, ReplayJudge):
        from harness.judges import replay

        return identity | {"verdicts_sha256": replay.digest(judge)}
    if isinstance(judge, RewardModelJudge):
        return identity | {"judge_model": asked_of}
    from harness.judges.protocol import protocol_of

    return identity | protocol_of(judge, asked_of).identity()
