"""MT-Bench's stored judgments (``gpt-4_single.jsonl``) → verdict lines, one per question and turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.protocols import failures
from harness.protocols import mt_bench as protocol

Line = dict[str, Any]


def judgment_lines(record: Line, source: str) -> Iterator[Line]:
    """The rating is read from the judgment's text alone; ``stored_differs`` says that the stored score is another."""
    text = record["judgment"] if isinstance(record["judgment"], str) else None
    rating = None if failures.is_api_error(text) else protocol.parse(text or "")
    stored = record.get("score")
    judge = record.get("judge")
    yield {
        "model": str(record["model"]),
        "judge": judge[0] if isinstance(judge, list) and judge else judge,
        "prompt_id": str(record["question_id"]),
        "turn": record["turn"],
        "rating": rating,
        "stored_differs": stored not in (None, protocol.MISSING_SCORE if rating is None else rating),
        "strict": rating == protocol.parse_strict(text or ""),
        "failure": failures.kind(text) if rating is None else None,
        "source": source,
    }
