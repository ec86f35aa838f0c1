from __future__ import annotations

from typing import Any

import pytest

from harness.data import microtasks
from harness.errors import ConfigError
from harness.judges.rules import judge, preference

PROMPTS = microtasks.build("eval", rows=40)


def completions(texts: dict[str, str], *, error: str | None = None) -> list[dict[str, Any]]:
    rest = {"finish_reason": "stop", "completion_tokens": 3, "error": error}
    return [{"prompt_id": row["id"], "text": texts.get(row["id"], ""), **rest} for row in PROMPTS]


def verdicts(own: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(judge(PROMPTS, own, other, model="m", baseline_name="b", judge_key="k"))


def test_a_row_against_itself_is_a_draw_everywhere() -> None:
    same = completions({PROMPTS[0]["id"]: "anything"})
    assert {verdict["preference"] for verdict in verdicts(same, same)} == {0.5}


def test_preferences_of_both_sides_add_up_to_one() -> None:
    own = completions({row["id"]: "1" for row in PROMPTS})
    other = completions({row["id"]: "Paris" for row in PROMPTS})
    pairs = zip(verdicts(own, other), verdicts(other, own), strict=True)
    assert all(a["preference"] + b["preference"] == 1 for a, b in pairs)


def test_a_completion_that_failed_has_no_verdict_instead_of_a_zero() -> None:
    failed = completions({}, error="the engine died")
    found = verdicts(failed, completions({}))
    assert all(verdict["preference"] is None and verdict["score"] is None for verdict in found)
    assert all(verdict["error"] == "the engine died" for verdict in found)


def test_a_missing_completion_is_named() -> None:
    with pytest.raises(ConfigError, match=PROMPTS[-1]["id"]):
        verdicts(completions({})[:-1], completions({}))


def test_a_prompt_without_a_check_is_named() -> None:
    prompt = {key: value for key, value in PROMPTS[0].items() if key != "check"}
    with pytest.raises(ConfigError, match="has no check"):
        list(judge([prompt], completions({}), completions({}), model="m", baseline_name="b", judge_key="k"))


def test_the_higher_score_wins() -> None:
    assert [preference(1.0, 0.5), preference(0.5, 0.5), preference(0.0, 0.5)] == [1.0, 0.5, 0.0]
