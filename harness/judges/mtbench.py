"""The ``mt_bench`` protocol: each turn rated from 1 to 10, with a reference answer for math, reasoning, coding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import files
from harness.endpoint import UNPARSED
from harness.errors import ConfigError
from harness.judges import wording
from harness.judges.question import Item, Line, Question, Reading, filled, judged_text
from harness.judges.settings import MtBenchJudge
from harness.protocols import mt_bench as rules

# which of FastChat's templates: (second turn?, with a reference?)
TEMPLATES = {
    (False, False): "single-v1",
    (False, True): "single-math-v1",
    (True, False): "single-v1-multi-turn",
    (True, True): "single-math-v1-multi-turn",
}


class MtBench:
    """See the module. Raises ConfigError for a prompt file that lacks a template."""

    def __init__(self, judge: MtBenchJudge) -> None:
        self.judge = judge
        self.wording = wording.mt_bench(Path(judge.prompts) if judge.prompts else None)
        self.asked_of = judge.endpoint.identity
        self.sampling = {"max_tokens": judge.max_tokens, "temperature": judge.temperature}

    def identity(self) -> dict[str, Any]:
        """What enters the stage's key."""
        texts = {name: [template.system, template.user] for name, template in self.wording.items()}
        return {
            "template_sha256": files.sha256_text(files.canonical_json(texts)),
            "wording": self.wording["single-v1"].source,
            "sampling": self.sampling,
            "judge_model": self.asked_of,
        }

    def questions(self, item: Item) -> list[Question]:
        """One a turn. Raises ConfigError where a category that needs a reference has none."""
        guided = item.prompt["family"] in rules.REFERENCE_CATEGORIES
        if guided and not item.prompt.get("reference"):
            raise ConfigError(
                f'MT-Bench question "{item.prompt_id}" ({item.prompt["family"]}) has no reference answer.',
                "name the file of reference answers: benchmark.reference_answers: …/reference_answer/gpt-4.jsonl",
            )
        return [self._question(item, turn, guided) for turn in rules.TURNS[: len(item.own)]]

    def _question(self, item: Item, turn: int, guided: bool) -> Question:
        template = self.wording[TEMPLATES[turn == 2, guided]]
        messages = [
            {"role": "system", "content": template.system},
            {"role": "user", "content": filled(template.user, _values(item, guided))},
        ]
        return Question(item.prompt_id, f"turn_{turn}", messages, self.sampling, self.asked_of, turn=turn)

    def read(self, question: Question, answer: Line) -> Reading:
        """The original's rule; a rating outside 1 to 10 is none."""
        text = answer["raw_text"] or ""
        rating = rules.parse(text)
        strict = rating == rules.parse_strict(text)
        if rating is None or not rules.LOWEST <= rating <= rules.HIGHEST:
            said = "no rating" if rating is None else f"the rating {rating:g} is not between 1 and 10"
            return Reading(failure=UNPARSED, detail=f"unparsed: {said}", strict=strict)
        return Reading(rating=rating, label=f"{rating:g}", strict=strict)


def _values(item: Item, guided: bool) -> dict[str, str]:
    turns = [item.own[0]["messages"][-1]["content"], item.prompt["second_turn"]]
    values = {"question": turns[0], "answer": judged_text(item.own[0]["text"])}
    for number, completion in enumerate(item.own, 1):
        values |= {f"question_{number}": turns[number - 1], f"answer_{number}": judged_text(completion["text"])}
    if guided:
        values |= {f"ref_answer_{number}": text for number, text in enumerate(item.prompt["reference"], 1)}
    return values
