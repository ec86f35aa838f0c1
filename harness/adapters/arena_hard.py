"""Arena-Hard-Auto's stored judgments and battles → verdict lines, one per game or per battle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.errors import ConfigError
from harness.protocols import arena_hard as protocol
from harness.protocols import failures
from harness.protocols.order import BASELINE_FIRST, MODEL_FIRST

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
    if record["winner"] not in protocol.PREFERENCES:
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
