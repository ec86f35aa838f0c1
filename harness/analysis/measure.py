"""Run what an analysis needs and is not there yet, then estimate: a report for the screen, JSON and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness import files, specs
from harness.analysis import agreement, drift, held_out, rewards, separation, stages, targets, trajectories
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
SHOWN = ("objective", "divergence", "form", "beta", "learning_rate", "preference_stage", "dpo_beta", "seed")
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


@dataclass
class Result:
    """``report`` is what ``--json`` prints; ``lines`` are the per-example files of each row, for pictures."""

    report: dict[str, Any]
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
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
        executor = LocalExecutor(self.store, self.reporter)
        self.store.prepare()
        self.outcome = executor.run_stages(stages.needed([*wanted.values(), *(more or [])], self.store), "analyze")
        done = {name: stage for name, stage in wanted.items() if self.store.manifest("analyze", stage.key)}
        if not done:
            why = next(iter(self.outcome.failed.values()), "nothing was executed")
            raise StageFailed(f"no row could be measured: {why}", "mend this and run the same command again")
        return done

    def read(self, stage: Stage, name: str) -> list[dict[str, Any]]:
        """The rows of a file of a finished stage."""
        return files.read_jsonl(specs.directory(self.store, stage) / name)

    def result(self, done: dict[str, Stage], wanted: dict[str, Stage], rows: list[dict[str, Any]]) -> Result:
        """The report's frame around its rows."""
        failed = {
            name: self.outcome.why_missing(stage) or "not measured"
            for name, stage in wanted.items()
            if name not in done
        }
        report = {
            "analysis": self.kind,
            "reference": self.selection.reference_name,
            "data": {**self.source.model_dump(include={"source", "split", "seed"}), "held_out_from": self._held_out()},
            "rows": rows,
            "missing": {**self.selection.missing, **failed},
            "notes": self.notes,
        }
        return Result(report, failed=failed)

    def _held_out(self) -> list[str]:
        return [plan.recipe.name for plan in self.selection.plans]

    def described(self, name: str, stage: Stage) -> dict[str, Any]:
        """A row's name, settings and stage."""
        checkpoint = next(each for each in self.selection.checkpoints if each.name == name)
        return {"row": name, **{key: checkpoint.description.get(key) for key in SHOWN}, "stage": stage.name}


def run(kind: str, request: Request, store: Store, reporter: Reporter) -> Result:
    """Measure rewards, values or drift. Raises BridgebenchError."""
    measurement = Measurement(kind, request, store, reporter)
    return {"rewards": _rewards, "values": _values, "drift": _drift}[kind](measurement)


def _pair_data(here: Measurement) -> Stage:
    rows, notes = held_out.pairs(here.selection, here.source)
    here.notes += notes
    return stages.tokenised(here.source, rows, "preference", here.base, stages.MAX_LENGTH)


def _rewards(here: Measurement) -> Result:
    data = _pair_data(here)
    wanted = {
        each.name: stages.rewards(each.name, *here.passes(data, each), here.beta, pairs=True)
        for each in here.selection.checkpoints
    }
    done = here.execute(wanted)
    lines = {name: here.read(stage, "rewards.jsonl") for name, stage in done.items()}
    rows = [{**here.described(name, stage), **rewards.estimates(lines[name])} for name, stage in done.items()]
    result = here.result(done, wanted, rows)
    result.lines = lines
    result.texts = _texts(here, next(iter(done.values())).inputs["policy"])
    result.report |= {"beta": here.beta, "comparisons": rewards.comparisons(lines)}
    if here.request.scores:
        result.report["against_scores"] = _against(here.request.scores, lines)
    return result


def _texts(here: Measurement, states: Stage) -> list[dict[str, Any]]:
    """The pieces of text of every response, in the order of the passes."""
    pieces = files.read_json(specs.directory(here.store, states) / "pieces.json")
    rows = here.read(states, "responses.jsonl")
    return [{"id": row["id"], "pieces": [pieces[str(t)] for t in row["tokens"][row["first"] :]]} for row in rows]


def _against(path: str, lines: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    scores = read_scores(path)
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
    made = stages.corrupt(_pair_data(here), KINDS, here.request.seed)
    wanted = {
        each.name: stages.values(each.name, *here.passes(made, each), here.beta) for each in here.selection.checkpoints
    }
    done = here.execute(wanted)
    pairs = here.read(made, "pairs.jsonl")
    lines = {name: here.read(stage, "values.jsonl") for name, stage in done.items()}
    rows = [
        {
            **here.described(name, stage),
            **separation.estimates(lines[name], pairs, here.beta),
            "trajectory": trajectories.aligned(lines[name], pairs),
        }
        for name, stage in done.items()
    ]
    result = here.result(done, wanted, rows)
    result.lines, result.pairs = lines, pairs
    result.report |= {"beta": here.beta, "agreement": _agreements(lines, pairs)}
    result.texts = _texts(here, next(iter(done.values())).inputs["policy"])
    return result


def _agreements(lines: dict[str, list[dict[str, Any]]], pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Agreement between rows on V - V_0 of the base, and on raw logsumexp beside it."""
    of = {
        name: {row: trajectories.state_values(each, pairs, name) for row, each in lines.items()}
        for name in ("value", "logsumexp", "reference_logsumexp")
    }
    base = of["reference_logsumexp"]
    return {name: agreement.compare(of[name], base) for name in ("value", "logsumexp")}


def _drift(here: Measurement) -> Result:
    prompts, demonstrations, notes = held_out.prompts_and_demonstrations(here.selection, here.source)
    here.notes += notes
    rendered = stages.tokenised(here.source, prompts, "prompts", here.base, stages.MAX_LENGTH)
    task = {
        "samples_per_prompt": here.request.samples,
        "max_new_tokens": here.request.max_new_tokens,
        "seed": here.request.seed,
    }
    wanted = {
        each.name: stages.drift(
            each.name, each.model, here.selection.reference_of(each), rendered, here.settings, **task
        )
        for each in here.selection.checkpoints
    }
    shown = _demonstration_stages(here, demonstrations)
    done = here.execute(wanted, list(shown.values()))
    lines = {name: here.read(stage, "samples.jsonl") for name, stage in done.items()}
    parts = {row["id"]: str(row.get("part", "all")) for row in prompts}
    rows = [_drift_row(here, name, stage, lines[name], parts, shown.get(name)) for name, stage in done.items()]
    result = here.result(done, wanted, rows)
    result.lines = lines
    result.report |= {"max_new_tokens": here.request.max_new_tokens, "samples_per_prompt": here.request.samples}
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


def _drift_row(
    here: Measurement,
    name: str,
    stage: Stage,
    lines: list[dict[str, Any]],
    parts: dict[str, str],
    shown: Stage | None,
) -> dict[str, Any]:
    found = {**here.described(name, stage), **drift.estimates(lines)}
    by_part = {
        part: [line for line in lines if parts.get(line["id"]) == part] for part in dict.fromkeys(parts.values())
    }
    found["by_part"] = {part: drift.estimates(each)["kl"] for part, each in by_part.items() if each}
    if shown is not None and here.store.manifest("analyze", shown.key):
        found["demonstrations"] = drift.demonstrations(here.read(shown, "rewards.jsonl"))
    checkpoint = next(each for each in here.selection.checkpoints if each.name == name)
    found["board"] = {key: checkpoint.board.get(key) for key in BOARD_KEYS} if checkpoint.board else None
    return found


BOARD_KEYS = tuple(f"{rate}{end}" for rate in ("win_rate", "pass_rate") for end in ("", "_low", "_high"))
