"""The local executor: trainers one after another, then one engine for all checkpoints, then judging and aggregation.

Trainer and engine are child processes and never share the memory. A failed stage holds up what needs it and nothing
else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import files, inline, inspection, memory, process, specs
from harness.backends import RESTART_ENGINE
from harness.claims import registration
from harness.errors import BridgebenchError, EnvironmentFault, StageFailed
from harness.executors.outcome import Outcome
from harness.plan import Plan
from harness.progress import Reporter
from harness.stage import Stage, in_order
from harness.store import Store

TRAINER_KINDS = ("convert", "tokenize", "reference", "train", "analyze")
ENGINE_KINDS = ("generate", "scores")
ENGINES = ("vllm", "transformers")


def worker(stage: Stage) -> str:
    """Who runs a stage: ``trainer``, ``engine``, or the ``driver`` itself (endpoints and stored outputs included)."""
    if stage.kind in TRAINER_KINDS:
        return "trainer"
    return "engine" if stage.kind in ENGINE_KINDS and stage.identity["backend"] in ENGINES else "driver"


class LocalExecutor:
    """Runs a plan's stages on this machine."""

    def __init__(self, store: Store, reporter: Reporter, *, keep_going: bool = True) -> None:
        self.store, self.reporter, self.keep_going = store, reporter, keep_going
        self.outcome = Outcome()
        self.worker = process.TrainerWorker()
        self.recipe = ""

    def run(self, plan: Plan) -> Outcome:
        """Execute what is missing. Raises StageFailed at the first failure if ``keep_going`` is off."""
        registration.register(plan.recipe, self.store)
        return self.run_stages(plan.stages, plan.recipe.name)

    def run_stages(self, stages: list[Stage], recipe: str) -> Outcome:
        """`run` for stages in an order in which they can run."""
        self.recipe = recipe
        self.reporter.begin(recipe, len(stages))
        waiting = list(stages)
        while waiting:
            before = len(waiting)
            for phase in (self._trainers, self._engines, self._inline):
                waiting = phase(waiting)
            if len(waiting) == before:
                raise AssertionError(f"no phase runs {waiting[0].name}")
        return self.outcome

    # phases: each runs what it can of the waiting stages and returns the rest

    def _trainers(self, waiting: list[Stage]) -> list[Stage]:
        ready, rest = _ready(waiting, "trainer", chained=True)
        try:
            for stage in ready:
                self._one(stage, self._run_trainer)
        finally:
            self.worker.close()  # the engine gets the memory
        return rest

    def _engines(self, waiting: list[Stage]) -> list[Stage]:
        ready, rest = _ready(waiting, "engine", chained=False)
        for group in _engine_groups(ready, self.store):
            self._run_group(group)
        return rest

    def _inline(self, waiting: list[Stage]) -> list[Stage]:
        ready, rest = _ready(waiting, "driver", chained=True)
        for stage in ready:  # in an order in which they can run: a second turn's prompts follow first answers
            self._one(stage, self._run_inline)
        return rest

    # one stage at a time

    def _one(self, stage: Stage, work: Any) -> None:
        if not self._wanted(stage):
            return
        with self._locked(stage):
            if self._done(stage):  # another run finished it while this one waited
                self._reuse(stage)
                return
            self.reporter.started(stage)
            try:
                work(stage)
            except (BridgebenchError, OSError) as error:
                self._failed(stage, error)
            else:
                self._executed(stage)

    def _wanted(self, stage: Stage) -> bool:
        if self._done(stage):
            self._reuse(stage)
            return False
        cause = self.outcome.stops(stage)
        if cause is not None:
            self.outcome.blocked[stage.name] = cause
            self.reporter.blocked(stage, cause)
            return False
        return True

    def _done(self, stage: Stage) -> bool:
        return self.store.manifest(stage.kind, stage.key) is not None

    def _locked(self, stage: Stage) -> contextlib.AbstractContextManager[int]:
        return self.store.lock(
            stage.kind,
            stage.key,
            lambda: self.reporter.message(f"waiting for another run that works on {stage.name}"),
        )

    def _reuse(self, stage: Stage) -> None:
        self.store.tidy(stage.kind, stage.key)
        self.outcome.reused.append(stage)
        self.reporter.reused(stage)

    def _executed(self, stage: Stage) -> None:
        self.outcome.executed.append(stage)
        manifest = self.store.manifest(stage.kind, stage.key) or {}
        self.reporter.finished(stage, manifest)
        if (first := manifest.get("summary", {}).get("first_prompt")) is not None:
            self.reporter.message(f"first prompt of {stage.label}, as {stage.inputs['model'].label} reads it:\n{first}")

    def _failed(self, stage: Stage, error: BridgebenchError | OSError) -> None:
        why = error.message if isinstance(error, BridgebenchError) else str(_disk_fault(error).message)
        if isinstance(error, BridgebenchError) and error.hint:
            why += f"\n{error.hint}"
        self.outcome.fail(stage, why, error)
        self.reporter.failed(stage, why)
        if not self.keep_going:
            raise StageFailed(f"{stage.kind} {stage.label} ({stage.name}) failed: {why}", self._rerun_hint(stage))

    def _rerun_hint(self, stage: Stage) -> str:
        return f"log: {self._log(stage.name)}\nbridgebench run {self.recipe}   continues from here"

    def _log(self, name: str) -> Path:
        return self.store.root / "logs" / f"{name.replace('/', '-')}.log"

    # kinds

    def _run_inline(self, stage: Stage) -> None:
        self._prepare(stage)
        inline.run(stage, self.store, self.recipe, lambda event: self.reporter.progress(stage, event))

    def _prepare(self, stage: Stage) -> None:
        out = specs.directory(self.store, stage)
        out.mkdir(parents=True, exist_ok=True)
        if stage.prepare is not None:
            stage.prepare(out)

    def _run_trainer(self, stage: Stage) -> None:
        self._prepare(stage)
        spec = self.store.root / "specs" / f"{stage.kind}-{stage.key}.json"
        told = specs.trainer_spec(stage, self.store, self.recipe)
        if "requirements" in stage.execution:
            inspection.require(told["source"], stage.execution["requirements"])
        files.write_json(spec, told)
        log = self._log(stage.name)
        code = self.worker.run(spec, log, lambda event: self.reporter.progress(stage, event))
        if code == 130:
            raise KeyboardInterrupt
        if code != 0 or not self._done(stage):
            raise StageFailed(_reason(log, code), f"log: {log}", exit_code=code)

    # one engine for many checkpoints

    def _run_group(self, group: list[Stage]) -> None:
        wanted = [stage for stage in group if self._wanted(stage)]
        with contextlib.ExitStack() as stack:
            # every run takes these locks in the same order, so two runs cannot hold each other up for ever
            held = {s.name: stack.enter_context(self._locked(s)) for s in sorted(wanted, key=lambda s: s.key)}
            for stage in [stage for stage in wanted if self._done(stage)]:
                self._reuse(stage)
                wanted.remove(stage)
            while wanted:
                wanted = self._engine_round(wanted, list(held.values()))

    def _engine_round(self, wanted: list[Stage], descriptors: list[int]) -> list[Stage]:
        """Start an engine for ``wanted``; returns the stages that a next engine still has to do."""
        for stage in wanted:
            self.reporter.started(stage)
            specs.directory(self.store, stage).mkdir(parents=True, exist_ok=True)
        try:
            code, log = self._engine_job(wanted, descriptors)
        except (BridgebenchError, OSError) as error:
            for stage in wanted:
                self._failed(stage, error)
            return []
        left = [stage for stage in wanted if not self._done(stage)]
        for stage in wanted:
            if stage not in left:
                self._executed(stage)
        if code == RESTART_ENGINE and len(left) < len(wanted):
            self.reporter.message("the engine could not prove a weight swap; starting it anew")
            return left
        if left:
            fault = StageFailed(_reason(log, code), f"log: {log}", exit_code=code)
            everywhere = code in (EnvironmentFault.exit_code, 0)
            for stage in left if everywhere else left[:1]:
                self._failed(stage, fault)
            return [] if everywhere else left[1:]
        return []

    def _engine_job(self, wanted: list[Stage], descriptors: list[int]) -> tuple[int, Path]:
        first = wanted[0]
        if first.identity["backend"] == "vllm":
            _require_vllm()
            if first.identity["device"] == "cpu":
                checkpoint = specs.directory(self.store, first.inputs["model"]) / "checkpoint"
                memory.require_for_engine(checkpoint, first.execution["kv_cache_gib"])
        job = self.store.root / "specs" / f"generate-{first.key}.json"
        entries = [specs.generate_entry(stage, self.store, self.recipe) for stage in wanted]
        files.write_json(job, {"execution": first.execution, "stages": entries})
        log = self._log(first.name)
        by_directory = {entry["directory"]: stage for entry, stage in zip(entries, wanted, strict=True)}
        code = process.run_module(
            "harness.backends.job",
            [str(job)],
            log,
            lambda event: self._engine_event(by_directory, event),
            descriptors,
        )
        if code == 130:
            raise KeyboardInterrupt
        return code, log

    def _engine_event(self, by_directory: dict[str, Stage], event: dict[str, Any]) -> None:
        stage = by_directory[event["directory"]]
        if event["event"] == "swap_refused":
            self.reporter.message(f"swap to {stage.label} refused: {event['reason']}")
        elif event["event"] == "progress":
            self.reporter.progress(stage, event)


def _ready(waiting: list[Stage], who: str, *, chained: bool) -> tuple[list[Stage], list[Stage]]:
    """(stages that ``who`` runs whose inputs no longer wait, the rest); ``chained`` stages may wait for each other."""
    ready: list[Stage] = []
    rest: list[Stage] = []
    held_up = {stage.name for stage in waiting}
    for stage in waiting:
        if worker(stage) == who and not any(needed.name in held_up for needed in stage.inputs.values()):
            ready.append(stage)
            if chained:
                held_up.discard(stage.name)
        else:
            rest.append(stage)
    return ready, rest


def _engine_groups(stages: list[Stage], store: Store) -> Iterator[list[Stage]]:
    """Generate stages that one engine can serve: the same architecture, tokenizer and settings."""
    groups: dict[str, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(_served_alike(stage, store) + files.canonical_json(stage.identity), []).append(stage)
    yield from groups.values()


NOT_ARCHITECTURE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


def _served_alike(stage: Stage, store: Store) -> str:
    """Equal for checkpoints whose weights one engine can swap and whose tokens it decodes alike.

    The architecture is that of the model which training or merging started from: neither changes it.
    """
    root = in_order([stage.inputs["model"]])[0]
    config = specs.directory(store, root) / "checkpoint" / "config.json"
    tokenizer = specs.directory(store, stage.inputs["model"]) / "checkpoint" / "tokenizer.json"
    if not config.is_file() or not tokenizer.is_file():
        return root.key
    kept = {name: value for name, value in files.read_json(config).items() if name not in NOT_ARCHITECTURE}
    return files.sha256_text(files.canonical_json(kept)) + files.sha256_file(tokenizer)


def _require_vllm() -> None:
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise EnvironmentFault(
            "vLLM is not installed here.",
            "install it (make install), or use --set generate.backend=transformers",
        )


def _reason(log: Path, code: int) -> str:
    if code < 0:
        return f"its process was ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return process.reason(log)


def _disk_fault(error: OSError) -> EnvironmentFault:
    return EnvironmentFault(f"{error.strerror or error}: {error.filename or 'a file of the store'}")
