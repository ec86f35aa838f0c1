"""The ``arena_hard`` protocol, v0.1 and v2: two games a question, positions swapped, five labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files
from harness.adapters.alpaca_eval import instruction
from harness.endpoint import UNPARSED
from harness.judges import wording
from harness.judges.question import Item, Line, Question, Reading, filled
from harness.judges.settings import ArenaHardJudge
from harness.protocols import arena_hard as rules
from harness.protocols.order import BASELINE_FIRST, MODEL_FIRST

ORDERS = ((1, BASELINE_FIRST), (2, MODEL_FIRST))


class ArenaHard:
    """See the module. Raises ConfigError for a prompt file that is none."""

    def __init__(self, judge: ArenaHardJudge) -> None:
        self.judge = judge
        self.wording = wording.arena_hard(Path(judge.prompts) if judge.prompts else None)
        self.asked_of = judge.endpoint.identity
        self.sampling = {"max_tokens": judge.max_tokens, "temperature": judge.temperature}

    def identity(self) -> dict[str, Any]:
        """What enters the stage's key."""
        return {
            "version": self.judge.version,
            "template_sha256": files.sha256_text(self.wording.system + "\0" + self.wording.user),
            "wording": self.wording.source,
            "sampling": self.sampling,
            "strong_weight": self.judge.strong_weight,
            "judge_model": self.asked_of,
        }

    def questions(self, item: Item) -> list[Question]:
        """Game 1 shows the baseline as A, game 2 the model."""
        return [self._question(item, game, order) for game, order in ORDERS]

    def _question(self, item: Item, game: int, order: str) -> Question:
        a, b = (item.baseline, item.answer) if game == 1 else (item.answer, item.baseline)
        asked = instruction(item.own[0])
        # v0.1's names, and v2's
        values = {"question_1": asked, "answer_1": a, "answer_2": b, "QUESTION": asked, "ANSWER_A": a, "ANSWER_B": b}
        messages = [
            {"role": "system", "content": self.wording.system},
            {"role": "user", "content": filled(self.wording.user, values)},
        ]
        return Question(item.prompt_id, order, messages, self.sampling, self.asked_of, {"game": game})

    def read(self, question: Question, answer: Line) -> Reading:
        """The version's own parser decides; the strict rule is counted beside it."""
        text = answer["raw_text"] or ""
        label = rules.PARSERS[self.judge.version](text)
        if label is None:
            agrees = rules.parse_strict(text) is None
            return Reading(failure=UNPARSED, detail="unparsed: no single label", strict=agrees)
        found = rules.outcome(label, question.context["game"], self.judge.strong_weight)
        return Reading(found.preference, label, weight=found.weight, strict=rules.parse_strict(text) == label)
