"""Arena-Hard-Auto's stored judgments and battles → verdict lines, one per game or per battle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.adapters import records
from harness.errors import ConfigError
from harness.protocols import arena_hard as protocol
from harness.protocols import failures
from harness.protocols.order import BASELINE_FIRST, MODEL_FIRST
from harness.stats.style import Style, style

Line = dict[str, Any]

ORDERS = {1: BASELINE_FIRST, 2: MODEL_FIRST}


def judgment_lines(record: Line, source: str) -> Iterator[Line]:
    """Two lines, one per game, with the judge's ``text``; which parser reads it is the benchmark's to say."""
    question = record.get("question_id", record.get("uid"))
    games = record["games"]
    if question is None or not isinstance(games, list) or len(games) != len(ORDERS):
        raise ConfigError(f"{source}: a judgment has a question_id (or uid) and two games.")
    for number, game in enumerate(games, 1):
        yield {
            "model": str(record["model"]),
            "baseline": record.get("baseline"),
            "judge": record.get("judge"),
            "prompt_id": str(question),
            "game": number,
            "order": ORDERS[number],
            "text": _text(game),
            "stored_label": game.get("score") if isinstance(game, dict) else None,
            "source": f"{source}, game {number}",
        }


def _text(game: Any) -> str | None:
    """v0.1 stores the judgment as a text, v2 as an object with the answer."""
    found = game.get("judgment") if isinstance(game, dict) else None
    if isinstance(found, dict):
        found = found.get("answer")
    return found if isinstance(found, str) else None


def parsed(line: Line, version: protocol.Version) -> Line:
    """The line with its label, preference, weight and ``strict``, or with its kind of failure."""
    text = line["text"]
    label = protocol.PARSERS[version](text) if text is not None else line["stored_label"]
    differs = {"stored_differs": line["stored_label"] not in (None, label)}
    if label not in protocol.LABELS:
        strict = text is None or protocol.parse_strict(text) is None
        return line | differs | {"label": None, "preference": None, "failure": failures.kind(text), "strict": strict}
    found = protocol.outcome(label, line["game"])
    strict = text is None or protocol.parse_strict(text) == label
    return (
        line
        | differs
        | {
            "label": label,
            "preference": found.preference,
            "weight": found.weight,
            "failure": None,
            "strict": strict,
        }
    )


def battle_lines(record: Line, source: str) -> Iterator[Line]:
    """One line of weight 1; the file is already expanded, and the baseline is model_a."""
    if not isinstance(record["winner"], str) or record["winner"] not in protocol.PREFERENCES:
        known = ", ".join(protocol.PREFERENCES)
        raise ConfigError(f"{source}: the winner is {record['winner']!r}, not one of {known}.")
    yield {
        "model": str(record["model_b"]),
        "baseline": str(record["model_a"]),
        "judge": record.get("judge"),
        "prompt_id": str(record.get("question_id", record.get("uid", source))),
        "preference": protocol.PREFERENCES[record["winner"]],
        "weight": 1,
        "failure": None,
        "source": source,
    }


def read_answers(paths: Iterable[Path]) -> dict[tuple[str, str], Style]:
    """(model, question) → style of the stored answer, of v0.1's and v2's answer files.

    Tokens are those that the file counted; without a count words stand in. Raises ConfigError for a record that is
    no answer.
    """
    return {
        key: found
        for path in paths
        for number, record in enumerate(records.read(path), 1)
        for key, found in [_answer(record, f"{path}, item {number}")]
    }


def _answer(record: Line, source: str) -> tuple[tuple[str, str], Style]:
    question = record.get("question_id", record.get("uid"))
    try:
        if "choices" in record:
            turn = record["choices"][0]["turns"][-1]
            text, tokens = turn["content"], turn.get("token_len")
        else:
            content = record["messages"][-1]["content"]
            text = content["answer"] if isinstance(content, dict) else content
            tokens = record.get("metadata", {}).get("token_len")
        model = record.get("model_id") or record["model"]
    except (KeyError, IndexError, TypeError):
        raise ConfigError(f"{source}: not an answer of Arena-Hard (model, question and text).") from None
    return (str(model), str(question)), style(str(text), tokens)
