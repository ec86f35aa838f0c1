"""The ``alpaca_eval`` protocol: a shipped judge configuration, asked and parsed as the package does.

One order a prompt, drawn from the instruction; identical outputs are a draw without a question.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from harness.adapters.alpaca_eval import instruction
from harness.endpoint import UNPARSED
from harness.judges import alpaca_config
from harness.judges.question import Item, Line, Question, Reading, filled
from harness.judges.settings import AlpacaEvalJudge
from harness.protocols import alpaca_eval as rules
from harness.protocols.order import BASELINE_FIRST, MODEL_FIRST


class AlpacaEval:
    """See the module. Raises ConfigError for a configuration that is not shipped or cannot be asked."""

    def __init__(self, judge: AlpacaEvalJudge) -> None:
        self.judge = judge
        self.config = alpaca_config.load(judge.annotators_config)
        self.asked_of = judge.endpoint.identity

    def identity(self) -> dict[str, Any]:
        """What enters the stage's key."""
        return {
            "annotators_config": self.config.name,
            "annotator_model": self.config.model,
            "template_sha256": self.config.template_sha256,
            "sampling": self.config.sampling,
            "parser": {self.config.parser: self.config.parser_arguments},
            "order_seed": self.judge.order_seed if self.config.switches_order else None,
            "judge_model": self.asked_of,
        }

    def questions(self, item: Item) -> list[Question]:
        """One question, in the order that the instruction decides."""
        asked = instruction(item.own[0])
        switched = self.config.switches_order and rules.is_switched(asked, self.judge.order_seed)
        first, second = (item.answer, item.baseline) if switched else (item.baseline, item.answer)
        values = {"instruction": asked, "output_1": first, "output_2": second}
        messages = [turn | {"content": filled(turn["content"], values)} for turn in self.config.template]
        return [
            Question(
                item.prompt_id,
                MODEL_FIRST if switched else BASELINE_FIRST,
                messages,
                self.config.sampling,
                self.asked_of,
                {"switched": switched},
                given=_as_preference(rules.without_call(item.baseline, item.answer)),
            )
        ]

    def read(self, question: Question, answer: Line) -> Reading:
        """x of the outputs as shown → preference for the model."""
        shown, mass = self._shown(answer)
        if shown is None:
            return Reading(failure=UNPARSED, detail=f"unparsed: {self.config.parser} finds no verdict", label_mass=mass)
        preference = _as_preference(rules.unswitched(shown, question.context["switched"]))
        return Reading(preference, label=(answer["raw_text"] or "").strip()[:20] or None, label_mass=mass)

    def _shown(self, answer: Line) -> tuple[float | None, float | None]:
        if self.config.parser == "logprob_parser":
            return self._from_logprobs(answer["logprobs"])
        return _parsed(self.config.parser, self.config.parser_arguments, answer["raw_text"] or ""), None

    def _from_logprobs(self, logprobs: list[Line]) -> tuple[float | None, float | None]:
        arguments = self.config.parser_arguments
        position = arguments.get("log_prob_index", "batch")
        entries = logprobs[0 if position == "batch" else position]["top_logprobs"]
        top = {entry["token"]: entry["logprob"] for entry in entries}
        first = arguments["numerator_token"]
        (second,) = [token for token in arguments["denominator_tokens"] if token != first]
        shown = rules.shown_preference(top, first, second)
        if shown is not None and arguments.get("is_binarize", True):
            shown = 1.0 if shown < rules.DRAW else 2.0
        return shown, rules.label_mass(top, first, second)


def _parsed(name: str, arguments: dict[str, Any], text: str) -> float | None:
    """What the package's own parser makes of ``text``: x in [1, 2]; None unless it is exactly one such value."""
    from alpaca_eval import completion_parsers

    try:
        # a copy: the package compiles patterns in place
        found = list(getattr(completion_parsers, name)(text, **copy.deepcopy(arguments)))
    except Exception:
        return None  # its parsers raise whatever a malformed text makes json, ast or re raise
    if len(found) != 1 or isinstance(found[0], bool) or not isinstance(found[0], int | float):
        return None
    value = rules.DRAW if found[0] == 0 else float(found[0])
    return value if math.isfinite(value) and 1 <= value <= 2 else None


def _as_preference(x: float | None) -> float | None:
    return None if x is None else x - 1.0
