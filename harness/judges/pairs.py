"""The ``pairwise`` protocol: our own judge, both orders, the verdict between marks that carry a nonce.

The nonce is a digest of the whole question, both answers included. No answer can contain the marks of its own question,
since writing them into the answer would change them.
"""

from __future__ import annotations

from typing import Any

from harness import files
from harness.adapters.alpaca_eval import instruction
from harness.endpoint import UNPARSED
from harness.judges import wording
from harness.judges.question import Item, Line, Question, Reading, filled
from harness.judges.settings import PairwiseJudge
from harness.protocols import pairwise as rules
from harness.protocols.order import BASELINE_FIRST, BOTH

LABELS = ("A", "B")
"""What a judge that is served here chooses between; a tie is a probability near one half."""


class Pairwise:
    """See the module; ``asked_of`` is the judge model's identity."""

    def __init__(self, judge: PairwiseJudge, asked_of: dict[str, Any] | None = None) -> None:
        self.judge = judge
        self.served = judge.endpoint is None
        self.asked_of = asked_of or (judge.endpoint.identity if judge.endpoint is not None else {})
        self.wording = wording.pairwise("labels" if self.served else "verdict")
        self.sampling: dict[str, Any] = {"max_tokens": judge.max_tokens, "temperature": judge.temperature}
        if self.served:
            self.sampling = {"labels": list(LABELS)}

    def identity(self) -> dict[str, Any]:
        """What enters the stage's key."""
        return {
            "template_sha256": files.sha256_text(self.wording.system + "\0" + self.wording.user),
            "wording": self.wording.source,
            "sampling": self.sampling,
            "orders": list(BOTH),
            "judge_model": self.asked_of,
        }

    def questions(self, item: Item) -> list[Question]:
        """Both orders."""
        return [self._question(item, order) for order in BOTH]

    def _question(self, item: Item, order: str) -> Question:
        a, b = (item.baseline, item.answer) if order == BASELINE_FIRST else (item.answer, item.baseline)
        asked = instruction(item.own[0])
        nonce = files.sha256_text(files.canonical_json([self.identity(), asked, a, b]))[:12]
        opening, closing = rules.delimiters(nonce)
        values = {"instruction": asked, "answer_a": a, "answer_b": b, "nonce": nonce}
        values |= {"opening": opening, "closing": closing}
        messages = [
            {"role": "system", "content": filled(self.wording.system, values)},
            {"role": "user", "content": filled(self.wording.user, values)},
        ]
        if not self.wording.system:
            messages = messages[1:]
        return Question(item.prompt_id, order, messages, self.sampling, self.asked_of, {"nonce": nonce})

    def read(self, question: Question, answer: Line) -> Reading:
        """Exactly one distinct verdict between the marks, or the labels' own probabilities."""
        position = "B" if question.order == BASELINE_FIRST else "A"
        if self.served:
            return _from_labels(answer["label_logprobs"], position)
        verdict = rules.parse(answer["raw_text"] or "", question.context["nonce"])
        if verdict is None:
            return Reading(failure=UNPARSED, detail="unparsed: not exactly one verdict between its marks")
        return Reading(rules.preference(verdict, position), verdict)


def _from_labels(logprobs: dict[str, float], position: str) -> Reading:
    """P(the model's label) / P(either label), and the labels' total probability."""
    from harness.protocols.alpaca_eval import label_mass, shown_preference

    shown = shown_preference(logprobs, *LABELS)
    mass = label_mass(logprobs, *LABELS)
    if shown is None:
        return Reading(failure=UNPARSED, detail="unparsed: both labels have probability zero", label_mass=mass)
    for_b = shown - 1.0
    label = max(LABELS, key=lambda each: logprobs[each])
    return Reading(for_b if position == "B" else 1.0 - for_b, label, label_mass=mass)
