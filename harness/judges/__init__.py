"""Judges: completions → verdicts."""

from __future__ import annotations

from typing import Any

from harness.judges.settings import Judge, Rules


def judge_identity(judge: Judge) -> dict[str, Any]:
    """What makes a judge's verdicts its own, without the outputs it judges. Raises ConfigError for what is not there.

    The rules judge is its name and the digest of its verifiers; a protocol is its template text, sampling parameters,
    parser and judge model.
    """
    if isinstance(judge, Rules):
        from harness.data import microtasks

        return {"judge": judge.name, "rules_sha256": microtasks.source_digest()}
    from harness.judges.protocol import protocol_of

    return {"judge": judge.protocol, "max_missing": judge.max_missing, **protocol_of(judge).identity()}
