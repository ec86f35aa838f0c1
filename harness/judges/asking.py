"""A judge stage whose judge is behind an endpoint: ask what is missing, one durable line an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import files
from harness.endpoint import Answer, Budget, Client, EndpointSettings, answer_all
from harness.judges import verdicts
from harness.judges.answers import WORKING_FILE, AnswerLog, elsewhere, is_final, line_of
from harness.judges.question import Item, JudgeProtocol, Line, Question

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Asked:
    """The verdicts of a stage, and what getting them cost here (retries and earlier runs of the stage included)."""

    verdicts: list[Line]
    summary: dict[str, Any]


def ask(
    protocol: JudgeProtocol,
    items: list[Item],
    settings: EndpointSettings,
    *,
    out: Path,
    ledger: Path | None,
    names: dict[str, Any],
    max_missing: float,
    on_event: OnEvent,
) -> Asked:
    """Ask every question that has no final answer yet, here or in a sibling of ``out``, and read all answers.

    Raises StageFailed where more than ``max_missing`` of the verdicts are missing, BudgetExhausted before the cap would
    be exceeded, EndpointRefused where no request would be answered; answers so far are kept in every case.
    """
    pairs = [(item, question) for item in items for question in protocol.questions(item)]
    wanted = {question.id: question for item, question in pairs if item.failed is None and question.given is None}
    log = AnswerLog(out / WORKING_FILE)
    try:
        final = _final(log)
        taken = elsewhere(out.parent, out, wanted.keys() - final)
        missing = [question for key, question in wanted.items() if key not in taken and key not in final]
        if missing:
            asyncio.run(_ask_all(missing, settings, ledger, log, len(wanted) - len(missing), on_event))
    finally:
        log.close()
    answers = log.answers | taken
    lines = [verdicts.verdict(protocol, item, question, answers.get(question.id), names) for item, question in pairs]
    verdicts.require(lines, names["model"], max_missing)
    spent = {"asked": len(missing), "tokens": log.tokens, "cost": log.money if settings.price is not None else None}
    return Asked(lines, verdicts.summary(lines) | spent)


def _final(log: AnswerLog) -> set[str]:
    return {key for key, line in log.answers.items() if is_final(line)}


async def _ask_all(
    missing: list[Question],
    settings: EndpointSettings,
    ledger: Path | None,
    log: AnswerLog,
    done: int,
    on_event: OnEvent,
) -> None:
    total = done + len(missing)
    currency = settings.price.currency if settings.price is not None else None

    async def keep(question: Question, answer: Answer) -> None:
        nonlocal done
        await log.append(line_of(question, answer))
        done += 1
        on_event(
            {
                "event": "progress",
                "done": done,
                "total": total,
                "unit": "verdict",
                "tokens": log.tokens,
                "money": log.money if currency else None,
                "currency": currency,
            }
        )

    async with Client(settings, Budget.of(settings, ledger)) as client:
        await answer_all(client, ((question, question.request()) for question in missing), keep)


def ledger_path(root: Path, recipe: str, settings: EndpointSettings) -> Path:
    """Where a recipe's spending on an endpoint is recorded: one cap for all its rows and runs."""
    named = files.sha256_text(files.canonical_json(settings.identity))[:8]
    return root / "spending" / f"{recipe.replace(' ', '-')}-{named}.jsonl"
