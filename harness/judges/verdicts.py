"""Questions and their answers → verdict lines; too many missing ones fail the row, each named with its kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from harness import files
from harness.errors import StageFailed
from harness.judges.question import Item, JudgeProtocol, Line, Question, Reading, judged_text
from harness.protocols.mt_bench import HIGHEST, LOWEST

COMPLETION = "completion"
"""The kind of a verdict that is missing because an answer under judgment is."""
SHOWN = 12


def verdict(
    protocol: JudgeProtocol, item: Item, question: Question, answer: Line | None, names: dict[str, Any]
) -> Line:
    """One line of ``verdicts.jsonl``. ``names``: model, baseline and judge_key; ``answer`` None: nothing was asked."""
    reading = _reading(protocol, item, question, answer)
    asked = answer or {}
    spent = {name: asked.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "unconfirmed_tokens")}
    optional = {"rating": reading.rating, "weight": reading.weight, "strict": reading.strict}
    optional |= {"label_mass": reading.label_mass, "label_logprobs": asked.get("label_logprobs"), "turn": question.turn}
    return common(item, question.turn or 1, names) | {
        "id": question.id,
        "order": question.order,
        "preference": reading.preference,
        "score": None if reading.rating is None else (reading.rating - LOWEST) / (HIGHEST - LOWEST),
        "label": reading.label,
        **{name: value for name, value in optional.items() if value is not None},
        "raw_text": asked.get("raw_text"),
        "logprobs": asked.get("logprobs"),
        "finish_reason": asked.get("finish_reason"),
        "prompt_sha256": question.prompt_sha256 if answer is not None else None,
        "answered_by": asked.get("answered_by"),
        "judge_model": question.asked_of,
        "prompt_tokens": spent["prompt_tokens"],
        "judge_completion_tokens": spent["completion_tokens"],
        "unconfirmed_tokens": spent["unconfirmed_tokens"],
        "tokens": sum(spent.values()),
        "cost": asked.get("cost", 0.0),
        "attempts": asked.get("attempts", 0),
        "reused_from": asked.get("reused_from"),
        "failure": reading.failure,
        "error": None if reading.failure is None else f"{reading.failure}: {reading.detail}",
    }


def outputs_digest(item: Item) -> str:
    """What is under judgment: a verdict is about these very texts and no others."""
    others = [item.other["text"]] if item.other is not None else []
    return files.sha256_text(files.canonical_json([[line["text"] for line in item.own], others]))


def common(item: Item, turn: int, names: dict[str, Any]) -> Line:
    """What every verdict says of the prompt and the answer under judgment; the rest in the order of interface."""
    own = item.own[turn - 1]
    text = judged_text(own["text"])
    ended = own["finish_reason"] if not own.get("error") else None
    return {
        "id": files.sha256_text(f"{names['judge_key']}\n{item.prompt_id}")[:16],
        "prompt_id": item.prompt_id,
        "judge_key": names["judge_key"],
        "order": None,
        "model": names["model"],
        "baseline": names["baseline"],
        "preference": None,
        "score": None,
        "label": None,
        "raw_text": None,
        "logprobs": None,
        "finish_reason": None,
        "tokens": 0,
        "cost": 0.0,
        "reused_from": None,
        "outputs_sha256": outputs_digest(item),
        "part": item.prompt["part"],
        "family": item.prompt["family"],
        "index": item.prompt.get("index"),
        "length_model": None if own.get("error") else len(text),
        "length_baseline": _length(item.other),
        "completion_tokens": own["completion_tokens"],
        "truncated": ended == "length" if ended else None,
        "empty": None if own.get("error") else not text.strip(),
        "reasoning_stripped": text != own["text"],
    }


def _length(completion: Line | None) -> int | None:
    return None if completion is None or completion.get("error") else len(judged_text(completion["text"]))


def _reading(protocol: JudgeProtocol, item: Item, question: Question, answer: Line | None) -> Reading:
    if item.failed is not None:
        return Reading(failure=COMPLETION, detail=item.failed)
    if question.given is not None:
        return Reading(question.given)
    if answer is None:
        return Reading(failure="not_asked", detail="not asked")
    if answer.get("failure") is not None:
        return Reading(failure=answer["failure"], detail=answer["detail"])
    return protocol.read(question, answer)


def require(verdicts: list[Line], model: str, most: float) -> None:
    """Raise StageFailed where more than the share ``most`` of a row's verdicts is missing, naming items and kinds."""
    missing = [line for line in verdicts if line["failure"] is not None]
    if len(missing) <= most * len(verdicts):
        return
    by_kind: dict[str, list[str]] = defaultdict(list)
    for line in missing:
        fault = line["error"].partition(": ")[2].partition(":")[0]
        by_kind[f"{line['failure']} ({fault})" if fault else line["failure"]].append(_item(line))
    kinds = "\n".join(
        f"{kind} × {len(items)}: {', '.join(items[:SHOWN])}{' …' if len(items) > SHOWN else ''}"
        for kind, items in sorted(by_kind.items(), key=lambda pair: -len(pair[1]))
    )
    share = f"{100 * len(missing) / len(verdicts):.1f} %, allowed are {100 * most:g} %"
    raise StageFailed(
        f"{len(missing)} of {model}'s {len(verdicts)} verdicts are missing ({share}).\n{kinds}",
        "the others are kept: running again asks only for those that an endpoint failed to give;\n"
        "judge.max_missing sets the share that may be missing",
    )


def _item(line: Line) -> str:
    return line["prompt_id"] + (f" [{line['order']}]" if line["order"] else "")


def summary(verdicts: list[Line]) -> dict[str, Any]:
    """What a manifest says of a judge stage."""
    return {
        "verdicts": len(verdicts),
        "missing": sum(line["preference"] is None and line.get("rating") is None for line in verdicts),
        "missing_by_kind": dict(Counter(line["failure"] for line in verdicts if line["failure"] is not None)),
        "strict_disagreements": sum(line.get("strict") is False for line in verdicts),
        "reused": sum(line["reused_from"] is not None for line in verdicts),
        "reasoning_stripped": sum(line["reasoning_stripped"] for line in verdicts),
    }
