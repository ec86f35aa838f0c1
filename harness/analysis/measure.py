"""Run what an analysis needs and is not there yet, estimates last: a report for the screen, JSON and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness import files, specs
from harness.analysis import estimation, held_out, reward_model, rewards, stages, targets
from harness.analysis.roles import MEASURED, MODEL, REFERENCE, SCORES, SHOWN
from harness.analysis.targets import Checkpoint, Selection
from harness.config import DataSource
from harness.errors import ConfigError, StageFailed
from harness.executors.local import LocalExecutor
from harness.executors.outcome import Outcome
from harness.plan import device_kind
from harness.progress import Reporter
from harness.stage import Stage
from harness.store import Store

DEFAULT_BETA = 0.1
KINDS = ["rejected", "foreign", "shuffled", "token"]
SHOWN_SETTINGS = ("objective", "divergence", "form", "beta", "learning_rate", "preference_stage", "dpo_beta", "seed")
DRIFT_PROMPTS = 64


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    targets: tuple[str, ...]
    reference: str | None = None
    rows: tuple[str, ...] = ()
    data: str | None = None
    split: str | None = None
    data_seed: int | None = None
    limit: int | None = None
    beta: float | None = None
    samples: int = 4
    max_new_tokens: int = 128
    seed: int = 0
    scores: str | None = None
    reward_model: str | None = None


@dataclass
class Result:
    """``report`` is what ``--json`` prints, ``pictures`` what pictures need beyond it (see `estimation`)."""

    report: dict[str, Any]
    pictures: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Measurement:
    """One analysis under way."""

    def __init__(self, kind: str, request: Request, store: Store, reporter: Reporter) -> None:
        self.kind, self.request, self.store, self.reporter = kind, request, store, reporter
        self.selection: Selection = targets.select(request.targets, request.reference, request.rows, store)
        limit = request.limit or (DRIFT_PROMPTS if kind == "drift" else None)
        self.source: DataSource = held_out.choose(self.selection, request.data, request.split, request.data_seed, limit)
        self.settings = stages.Settings(device_kind())
        self.notes: list[str] = []
        self.outcome = Outcome()

    @property
    def beta(self) -> float:
        """The request's, else that of the recipe's first preference stage, else `DEFAULT_BETA`: one for all rows."""
        if self.request.beta is not None:
            return self.request.beta
        staged = [stage for plan in self.selection.plans for stage in plan.recipe.preference_stages.values() if stage]
        return staged[0].beta if staged else DEFAULT_BETA

    @property
    def base(self) -> Stage:
        """The model that renders the data."""
        assert self.selection.base is not None
        return self.selection.base

    def passes(self, data: Stage, checkpoint: Checkpoint) -> tuple[Stage, Stage]:
        """The passes of a checkpoint and of its reference over ``data``."""
        reference = self.selection.reference_of(checkpoint)
        own = stages.states(checkpoint.name, checkpoint.model, data, self.base, self.settings)
        return own, stages.states("reference", reference, data, self.base, self.settings)

    def execute(self, wanted: dict[str, Stage], more: list[Stage] | None = None) -> dict[str, Stage]:
        """Run ``wanted`` (one stage per row) and what they need; returns the finished ones. Raises StageFailed if none
        is.
        """
        self.store.prepare()
        needed = stages.needed([*wanted.values(), *(more or [])], self.store)
        self.outcome = LocalExecutor(self.store, self.reporter).run_stages(needed, "analyze")
        done = {name: stage for name, stage in wanted.items() if self.done(stage)}
        if not done:
            why = next(iter(self.outcome.failed.values()), "nothing was executed")
            raise StageFailed(f"no row could be measured: {why}", "mend this and run the same command again")
        return done

    def done(self, stage: Stage) -> bool:
        """Whether the stage is finished."""
        return self.store.manifest(stage.kind, stage.key) is not None

    def read(self, stage: Stage, name: str) -> list[dict[str, Any]]:
        """The rows of a file of a finished stage."""
        return files.read_jsonl(specs.directory(self.store, stage) / name)

    def result(
        self,
        wanted: dict[str, Stage],
        settings: dict[str, Any],
        *,
        beside: dict[str, Stage] | None = None,
        scores: Stage | None = None,
    ) -> Result:
        """Execute ``wanted``, estimate, and put the report's frame around the estimates."""
        done = self.execute(wanted, [*(beside or {}).values(), *([scores] if scores is not None else [])])
        failed = {name: self._why(stage) for name, stage in wanted.items() if name not in done}
        more = {}
        if scores is not None:
            more = {SCORES: scores} if self.done(scores) else {}
            failed |= {} if more else {scores.label: self._why(scores)}
        made = self._estimate(done, settings, beside or {}, more)
        estimates, pictures = (files.read_json(specs.directory(self.store, made) / name) for name in estimation.FILES)
        rows = estimates.pop("rows")
        report = {
            "analysis": self.kind,
            "stage": made.name,
            "reference": self.selection.reference_name,
            "data": {**self._data(), "held_out_from": [plan.recipe.name for plan in self.selection.plans]},
            "rows": [{**self.described(name, stage), **rows[name]} for name, stage in done.items()],
            "missing": {**self.selection.missing, **failed},
            "notes": self.notes,
        }
        return Result(report | settings | estimates, pictures, failed)

    def _why(self, stage: Stage) -> str:
        return self.outcome.why_missing(stage) or "not measured"

    def _data(self) -> dict[str, Any]:
        return self.source.model_dump(include={"source", "split", "seed"})

    def _estimate(
        self, done: dict[str, Stage], settings: dict[str, Any], beside: dict[str, Stage], more: dict[str, Stage]
    ) -> Stage:
        """The finished stage of the estimates over the rows in ``done``. Raises StageFailed."""
        by_name = {each.name: each for each in self.selection.checkpoints}
        rows = {}
        for name, stage in done.items():
            reference = self.selection.reference_of(by_name[name])
            rows[name] = {MEASURED: stage, MODEL: by_name[name].model, REFERENCE: reference}
            if name in beside and self.done(beside[name]):
                rows[name][SHOWN] = beside[name]
        settings = {**settings, "reference": self.selection.reference_name, "data": self._data()}
        made = estimation.stage(self.kind, ", ".join(self.request.targets), settings, rows, more)
        outcome = LocalExecutor(self.store, self.reporter).run_stages([made], "analyze")
        if not self.done(made):
            why = outcome.failed.get(made.name, "nothing was executed")
            raise StageFailed(f"the estimates could not be made: {why}", "mend this and run the same command again")
        return made

    def described(self, name: str, stage: Stage) -> dict[str, Any]:
        """A row's name, settings and stage."""
        checkpoint = next(each for each in self.selection.checkpoints if each.name == name)
        return {"row": name, **{key: checkpoint.description.get(key) for key in SHOWN_SETTINGS}, "stage": stage.name}


def run(kind: str, request: Request, store: Store, reporter: Reporter) -> Result:
    """Measure rewards, values or drift. Raises BridgebenchError."""
    measurement = Measurement(kind, request, store, reporter)
    return {"rewards": _rewards, "values": _values, "drift": _drift}[kind](measurement)


def _pair_data(here: Measurement) -> tuple[Stage, list[dict[str, Any]]]:
    """(the pairs as the base renders them, the pairs themselves)."""
    rows, notes = held_out.pairs(here.selection, here.source)
    here.notes += notes
    return stages.tokenised(here.source, rows, "preference", here.base, stages.MAX_LENGTH), rows


def _rewards(here: Measurement) -> Result:
    data, pairs = _pair_data(here)
    scores = read_scores(here.request.scores) if here.request.scores else None
    judge = None
    if here.request.reward_model:
        here.store.prepare()
        judge = reward_model.stage(here.request.reward_model, here.source, pairs, here.store, here.settings.device)
    wanted = {
        each.name: stages.rewards(each.name, *here.passes(data, each), here.beta, pairs=True)
        for each in here.selection.checkpoints
    }
    result = here.result(wanted, {"beta": here.beta}, scores=judge)
    if "reward_model" in result.report:
        result.report["reward_model"]["reference"] = here.request.reward_model
    if scores is not None:
        done = {row["row"]: wanted[row["row"]] for row in result.report["rows"]}
        lines = {name: here.read(stage, "rewards.jsonl") for name, stage in done.items()}
        result.report["against_scores"] = _against(str(here.request.scores), scores, lines)
    return result


def _against(path: str, scores: dict[str, float], lines: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    found = {name: rewards.agreement(each, scores) for name, each in lines.items()}
    if not any(found.values()):
        raise ConfigError(f"{path} scores none of the measured pairs.", "its ids must be those of the preference rows")
    return found


def read_scores(path: str) -> dict[str, float]:
    """id → score(chosen) - score(rejected) of a judge, from JSON Lines ``{"id", "chosen", "rejected"}``."""
    from pathlib import Path

    if not Path(path).is_file():
        raise ConfigError(f"there is no file of scores {path}.")
    try:
        return {str(row["id"]): float(row["chosen"]) - float(row["rejected"]) for row in files.read_jsonl(Path(path))}
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} is not a file of scores: {error!r}.", 'lines are {"id", "chosen", "rejected"}'
        ) from None


def _values(here: Measurement) -> Result:
    made = stages.corrupt(_pair_data(here)[0], KINDS, here.request.seed)
    wanted = {
        each.name: stages.values(each.name, *here.passes(made, each), here.beta) for each in here.selection.checkpoints
    }
    return here.result(wanted, {"beta": here.beta})


def _drift(here: Measurement) -> Result:
    prompts, demonstrations, notes = held_out.prompts_and_demonstrations(here.selection, here.source)
    here.notes += notes
    rendered = stages.tokenised(here.source, prompts, "prompts", here.base, stages.MAX_LENGTH)
    sampling = {"max_new_tokens": here.request.max_new_tokens, "samples_per_prompt": here.request.samples}
    task = {**sampling, "seed": here.request.seed}
    wanted = {
        each.name: stages.drift(
            each.name, each.model, here.selection.reference_of(each), rendered, here.settings, **task
        )
        for each in here.selection.checkpoints
    }
    result = here.result(wanted, sampling, beside=_demonstration_stages(here, demonstrations))
    boards = {each.name: each.board for each in here.selection.checkpoints}
    for row in result.report["rows"]:
        board = boards[row["row"]]
        row["board"] = {key: board.get(key) for key in BOARD_KEYS} if board else None
    return result


def _demonstration_stages(here: Measurement, demonstrations: list[dict[str, Any]]) -> dict[str, Stage]:
    if not demonstrations:
        here.notes.append("no demonstrations: the data hold prompts alone")
        return {}
    data = stages.tokenised(here.source, demonstrations, "sft", here.base, stages.MAX_LENGTH)
    return {
        each.name: stages.rewards(f"{each.name}, demonstrations", *here.passes(data, each), 1.0, pairs=False)
        for each in here.selection.checkpoints
    }


BOARD_KEYS = tuple(f"{rate}{end}" for rate in ("win_rate", "pass_rate") for end in ("", "_low", "_high"))
