"""Run a judge stage of any protocol: items in, verdict lines out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import files
from harness.adapters import alpaca_eval
from harness.judges import asking, items, replay, reward, served, verdicts
from harness.judges.pairs import Pairwise
from harness.judges.protocol import protocol_of
from harness.judges.question import Item, Line
from harness.judges.settings import AlpacaEvalJudge, ReplayJudge, RewardModelJudge
from harness.stage import Stage
from harness.store import Store

OnEvent = Callable[[dict[str, Any]], None]


def run(stage: Stage, store: Store, recipe: str, out: Path, on_event: OnEvent) -> tuple[list[str], dict[str, Any]]:
    """Write ``verdicts.jsonl`` (and AlpacaEval's files); returns the files and the summary. Raises BridgebenchError."""
    found = items.read(store, stage.inputs)
    names = {"model": stage.identity["model"], "baseline": stage.identity["baseline"], "judge_key": stage.key}
    lines, summary = _verdicts(stage, store, recipe, out, found, names, on_event)
    files.write_jsonl(out / "verdicts.jsonl", lines)
    written = ["verdicts.jsonl"]
    if isinstance(stage.execution["judge"], AlpacaEvalJudge):
        written += _alpaca_files(stage, found, lines, out)
    return written, summary


def _verdicts(
    stage: Stage,
    store: Store,
    recipe: str,
    out: Path,
    found: list[Item],
    names: dict[str, Any],
    on_event: OnEvent,
) -> tuple[list[Line], dict[str, Any]]:
    judge = stage.execution["judge"]
    if judge.endpoint_settings is not None:
        asked = asking.ask(
            protocol_of(judge),
            found,
            judge.endpoint_settings,
            out=out,
            ledger=asking.ledger_path(store.root, recipe, judge.endpoint_settings),
            names=names,
            max_missing=judge.max_missing,
            on_event=on_event,
        )
        return asked.verdicts, asked.summary
    lines = _without_asking(judge, stage, store, found, names)
    verdicts.require(lines, names["model"], judge.max_missing)
    return lines, verdicts.summary(lines)


def _without_asking(judge: Any, stage: Stage, store: Store, found: list[Item], names: dict[str, Any]) -> list[Line]:
    if isinstance(judge, ReplayJudge):
        return replay.verdict_lines(judge, found, names)
    asked_of, scored = stage.execution["asked_of"], served.answers(store, stage.inputs["scores"])
    if isinstance(judge, RewardModelJudge):
        return reward.verdict_lines(found, scored, names, asked_of)
    protocol = Pairwise(judge, asked_of)
    return [
        verdicts.verdict(protocol, item, question, answer, names)
        for item, question, answer in served.pairs(protocol, found, scored)
    ]


def _alpaca_files(stage: Stage, found: list[Item], lines: list[Line], out: Path) -> list[str]:
    own = [item.own[0] for item in found]
    other = [item.other for item in found if item.other is not None]
    alpaca_eval.write_model_outputs(own, out / "model_outputs.json", generator=stage.identity["model"])
    annotator = stage.identity["annotators_config"]
    alpaca_eval.write_annotations(lines, own, other, out / "annotations.json", annotator=annotator)
    return ["model_outputs.json", "annotations.json"]
