"""An OpenAI-compatible endpoint → completions, a line at a time: every answer is on the disk before the next is asked.

Messages are sent, not token ids: the endpoint renders them by its own template.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import files
from harness.endpoint import REFUSAL, Answer, Budget, ChatRequest, Client, EndpointSettings, answer_all
from harness.errors import EnvironmentFault, StageFailed
from harness.stage import Stage

Line = dict[str, Any]
ANSWERS = "answers.jsonl"
REASONS = {"stop": "stop", "eos": "stop", "length": "length", "max_tokens": "length"}


def complete(
    stage: Stage, prompts: list[Line], out: Path, ledger: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write ``completions.jsonl`` of an endpoint's stage; returns its summary.

    Answers of an interrupted run are kept and not asked again. Raises EnvironmentFault where the endpoint refuses or
    cannot be reached, StageFailed where some prompts stay without an answer.
    """
    journal = out / ANSWERS
    done = _resume(journal)
    settings: EndpointSettings = stage.execution["endpoint"]
    faults: list[str] = []
    with journal.open("ab") as handle:

        def store(prompt: Line, answer: Answer) -> None:
            if answer.failure is not None and (answer.failure.kind != REFUSAL or not answer.text):
                faults.append(f"{prompt['id']}: {answer.failure.kind}, {answer.failure.detail}")
                return
            done[prompt["id"]] = row = _completion(stage, prompt, answer)
            handle.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))
            handle.flush()
            os.fsync(handle.fileno())
            on_progress(len(done), len(prompts))

        left = [prompt for prompt in prompts if prompt["id"] not in done]
        asyncio.run(_ask(settings, Budget.of(settings, ledger), left, _request(stage), store, faults))
    if faults:
        raise StageFailed(
            f"{settings.base_url} gave no answer to {len(faults)} of {len(prompts)} prompts, e.g. {faults[0]}.",
            "the answers so far are kept; run again to ask for the rest",
        )
    rows = [done[prompt["id"]] for prompt in prompts]
    files.write_jsonl(out / "completions.jsonl", rows)
    return _summary(rows)


def _resume(journal: Path) -> dict[str, Line]:
    """Prompt → answer of an earlier run; a torn last line is cut off, so that the next append starts a line."""
    if not journal.exists():
        return {}
    rows = files.read_jsonl(journal)
    whole = journal.read_bytes()
    with journal.open("r+b") as handle:
        handle.truncate(whole.rfind(b"\n") + 1)
    return {row["prompt_id"]: row for row in rows}


async def _ask(
    settings: EndpointSettings,
    budget: Budget,
    prompts: list[Line],
    request: Callable[[Line], ChatRequest],
    store: Callable[[Line, Answer], None],
    faults: list[str],
) -> None:
    async with Client(settings, budget) as client:
        for prompt in prompts[:1]:  # alone: a wrong address is told after one request, not after all
            store(prompt, await client.ask(request(prompt)))
            if faults:
                raise EnvironmentFault(
                    f"{settings.base_url} does not answer ({faults[0].partition(': ')[2]}).",
                    "is the server up, and is the address right (most end with /v1)?",
                )
        await answer_all(client, [(prompt, request(prompt)) for prompt in prompts[1:]], store)


def _request(stage: Stage) -> Callable[[Line], ChatRequest]:
    sampling = stage.identity["sampling"]

    def make(prompt: Line) -> ChatRequest:
        return ChatRequest(
            prompt["messages"],
            max_tokens=sampling["max_new_tokens"],
            temperature=prompt.get("temperature", sampling["temperature"]),
            top_p=sampling["top_p"],
            seed=sampling["seed"],
        )

    return make


def _completion(stage: Stage, prompt: Line, answer: Answer) -> Line:
    return {
        "id": files.sha256_text(f"{stage.key}\n{prompt['id']}")[:16],
        "prompt_id": prompt["id"],
        "messages": prompt["messages"],
        "rendered_sha256": None,  # the endpoint renders, and does not say what
        "text": answer.text or "",
        "raw_text": answer.text or "",
        "finish_reason": REASONS.get(str(answer.finish_reason), answer.finish_reason),
        "prompt_tokens": answer.usage.prompt_tokens or None,
        "completion_tokens": answer.usage.completion_tokens or None,
        "sampling": stage.identity["sampling"],
        "model_key": answer.model,
        "error": None,
    }


def _summary(rows: list[Line]) -> dict[str, Any]:
    known = [row for row in rows if row["completion_tokens"] is not None]
    return {
        "prompts": len(rows),
        "prompt_tokens": sum(row["prompt_tokens"] or 0 for row in known),
        "completion_tokens": sum(row["completion_tokens"] for row in known),
        "truncated": sum(row["finish_reason"] == "length" for row in rows),
        "answered_by": sorted({str(row["model_key"]) for row in rows}),
    }
