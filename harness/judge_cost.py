"""What the judges of a plan would cost: counted on the texts they would read, nothing sent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.endpoint import EndpointSettings
from harness.judges import items
from harness.judges.answers import WORKING_FILE, AnswerLog, elsewhere, is_final
from harness.judges.protocol import protocol_of
from harness.judges.question import Item, Question
from harness.plan import Plan
from harness.stage import Stage
from harness.store import Store

CHARACTERS_PER_TOKEN = 4
Count = Callable[[str], int]


@dataclass(frozen=True)
class Cost:
    """One row's judge stage. ``completion_tokens`` and ``money`` are at most: what the judge may write is a limit."""

    row: str
    benchmark: str
    questions: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None
    currency: str | None
    method: str

    def as_row(self) -> dict[str, Any]:
        """For ``--json``."""
        return dict(self.__dict__)


def estimate(plan: Plan, store: Store) -> list[Cost]:
    """One entry a row and benchmark whose judge is asked over the network. Raises ConfigError as planning does."""
    found = []
    for row in plan.rows:
        for name, evaluated in row.evaluations.items():
            judge = evaluated.judge.execution.get("judge")
            if judge is not None and judge.endpoint_settings is not None:
                found.append(_cost(plan, store, row.name, name, evaluated.judge))
    return found


def _cost(plan: Plan, store: Store, row: str, benchmark: str, stage: Stage) -> Cost:
    judge = stage.execution["judge"]
    where: EndpointSettings = judge.endpoint_settings
    count, method = counter(where.model)
    judged, generated = _items(plan, store, benchmark, stage)
    questions = [q for item in judged if item.failed is None for q in protocol_of(judge).questions(item)]
    questions = [question for question in questions if question.given is None]
    open_ones = _unanswered(store, stage, questions)
    if not generated:
        method += "; answers not generated yet, each taken at its full length"
    prompt = sum(count(str(message["content"])) + 4 for question in open_ones for message in question.messages)
    completion = sum(question.sampling["max_tokens"] for question in open_ones)
    money = where.price.cost(prompt, completion) if where.price is not None else None
    currency = where.price.currency if where.price is not None else None
    asked = len(questions) - len(open_ones)
    return Cost(row, benchmark, len(questions), asked, prompt, completion, money, currency, method)


def _items(plan: Plan, store: Store, benchmark: str, stage: Stage) -> tuple[list[Item], bool]:
    """(what will be judged, whether it exists); answers that do not exist are stood in for by texts as long as they
    may become.
    """
    needed = [stage.inputs[role] for role in sorted(stage.inputs) if role.startswith(("completions", "baseline"))]
    if all(store.manifest(each.kind, each.key) is not None for each in (*needed, stage.inputs["prompts"])):
        return items.read(store, stage.inputs), True
    longest = plan.recipe.evaluations[benchmark].generate.max_new_tokens
    turns = sum(role.startswith("completions") for role in stage.inputs)
    rows = plan.prompts[benchmark]
    return [_stand_in(row, longest, turns, "baseline" in stage.inputs) for row in rows], False


def _stand_in(row: dict[str, Any], longest: int, turns: int, compared: bool) -> Item:
    def completion(side: str) -> dict[str, Any]:
        text = (side * longest * CHARACTERS_PER_TOKEN)[: longest * CHARACTERS_PER_TOKEN]
        return {"messages": row["messages"], "text": text, "error": None, "finish_reason": None, "completion_tokens": 0}

    return Item(row, [completion("own ")] * turns, completion("base") if compared else None)


def _unanswered(store: Store, stage: Stage, questions: list[Question]) -> list[Question]:
    folder = store.path(stage.kind, stage.key)
    working = folder / WORKING_FILE
    done: set[str] = set()
    if working.exists():
        log = AnswerLog(working)
        log.close()
        done = {key for key, line in log.answers.items() if is_final(line)}
    if store.manifest(stage.kind, stage.key) is not None:
        return []
    taken = elsewhere(folder.parent, folder, {question.id for question in questions} - done)
    return [question for question in questions if question.id not in done and question.id not in taken]


def counter(model: str) -> tuple[Count, str]:
    """(tokens of a text, how they are counted), with what is on this machine: the judge's own tokenizer, or tiktoken's
    encoding of it, or else four characters a token.
    """
    for attempt in (_own_tokenizer, _tiktoken):
        found = attempt(model)
        if found is not None:
            return found
    return (lambda text: -(-len(text) // CHARACTERS_PER_TOKEN)), "estimated at four characters a token"


def _own_tokenizer(model: str) -> tuple[Count, str] | None:
    if not Path(model).is_dir() and not _in_hub_cache(model):
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):
        return None
    return (lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])), "counted by its own tokenizer"


def _in_hub_cache(model: str) -> bool:
    root = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    return "/" in model and (root / "hub" / f"models--{model.replace('/', '--')}").is_dir()


def _tiktoken(model: str) -> tuple[Count, str] | None:
    """Only with an encoding that is already here: tiktoken would fetch it otherwise."""
    names = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
    folder = next((os.environ[name] for name in names if os.environ.get(name)), None)
    cached = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache")
    if not cached.is_dir() or not any(cached.iterdir()):
        return None
    import tiktoken

    try:
        encoding = tiktoken.encoding_for_model(model)
    except Exception:
        return None  # a model it does not know, or one whose encoding is not among the cached ones
    return (lambda text: len(encoding.encode(text, disallowed_special=()))), f"counted by tiktoken ({encoding.name})"


def table(costs: list[Cost]) -> str:
    """For the terminal; the sum in the last line."""
    if not costs:
        return "no judge is asked over the network: free of charge"
    lines = [f"{'row':<24} {'benchmark':<14} {'to ask':>7} {'prompt tokens':>14} {'at most':>14}"]
    for cost in costs:
        money = f"{cost.money:.4f} {cost.currency}" if cost.money is not None else "price unknown"
        to_ask = cost.questions - cost.answered
        lines.append(f"{cost.row[:24]:<24} {cost.benchmark[:14]:<14} {to_ask:>7} {cost.prompt_tokens:>14,} {money:>14}")
    known = [cost.money for cost in costs if cost.money is not None]
    if known:
        lines.append(f"{'all':<24} {'':<14} {'':>7} {'':>14} {sum(known):>10.4f} {costs[0].currency}")
    return "\n".join([*lines, *sorted({f"tokens: {cost.method}" for cost in costs})])
