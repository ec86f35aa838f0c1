"""Judges: completions → verdicts."""

from __future__ import annotations

from typing import Any

from harness.config import Judge


def judge_identity(judge: Judge) -> dict[str, Any]:
    """What makes a judge's verdicts its own: its name and the digest of the rules it applies."""
    from harness.data import microtasks

    return {"judge": judge.name, "rules_sha256": microtasks.source_digest()}
