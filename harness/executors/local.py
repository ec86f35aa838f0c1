"""The local executor: how a stage is run on this machine, in the lane of its place.

Trainer and engine are child processes, one at a time in each place (a GPU, or the machine), so they never share its
memory. A failed stage holds up what needs it and nothing else.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness import files, inline, inspection, process, specs
from harness.backends import RESTART_ENGINE
from harness.claims import registration
from harness.errors import BridgebenchError, EnvironmentFault, StageFailed
from harness.executors import gpus, units
from harness.executors.dispatch import Dispatcher
from harness.executors.outcome import Outcome
from harness.executors.places import Place, Pool, Work
from harness.executors.slots import Slots
from harness.plan import Plan
from harness.progress import Reporter
from harness.remote_store import RemoteStore
from harness.stage import Stage
from harness.store import Store


class LocalExecutor(Dispatcher):
    """Runs a plan's stages on this machine."""

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        *,
        keep_going: bool = True,
        pool: Pool | None = None,
        remote: RemoteStore | None = None,
    ) -> None:
        super().__init__(store, reporter, pool or Slots(gpus.here()))
        self.keep_going, self.remote = keep_going, remote
        self.telling = threading.RLock()  # outcome and reporter are for one lane at a time

    def check(self, plan: Plan) -> None:
        """Raise EnvironmentFault for a stage that asks for more GPUs than any machine of the pool has."""
        for stage in plan.stages:
            if units.worker(stage) != "driver":
                self.pool.require(units.gpus_of(stage, plan.recipe.resources), f"{stage.kind} {stage.label}")

    def run(self, plan: Plan) -> Outcome:
        """Execute what is missing. Raises StageFailed at the first failure if ``keep_going`` is off, and what `check`
        raises.
        """
        self.check(plan)
        registration.register(plan.recipe, self.store)
        self.resources = plan.recipe.resources
        outcome = self.run_stages(plan.stages, plan.recipe.name)
        for stage in outcome.reused:
            self._push(stage)
        return outcome

    # a lane: one stage at a time

    def run_trainer(self, stage: Stage, place: Place) -> None:
        """A stage of the trainers."""
        self._one(stage, partial(self._run_trainer, place))

    def run_inline(self, stage: Stage) -> None:
        """A stage of the driver's own."""
        self._one(stage, self._run_inline)

    def _one(self, stage: Stage, work: Callable[[Stage], None]) -> None:
        if not self.wanted(stage):
            return
        with self._locked(stage):
            try:
                if self._found(stage):
                    self._reuse(stage)
                    return
                with self.telling:
                    self.reporter.started(stage)
                work(stage)
            except (BridgebenchError, OSError) as error:
                self._failed(stage, error)
            else:
                self._executed(stage)
                self._push(stage)

    def wanted(self, stage: Stage) -> bool:
        """Whether a stage has to run: it is not done, and nothing that failed holds it up."""
        if self._done(stage):
            self._reuse(stage)
            return False
        with self.telling:
            cause = self.outcome.stops(stage)
            if cause is not None:
                self.outcome.blocked[stage.name] = cause
                self.reporter.blocked(stage, cause)
        return cause is None

    def _done(self, stage: Stage) -> bool:
        return self.store.manifest(stage.kind, stage.key) is not None

    def _found(self, stage: Stage) -> bool:
        """Whether another run finished a stage while this one waited for its lock, or it lies in the remote store."""
        return self._done(stage) or (self.remote is not None and self.remote.pull(self.store, stage.kind, stage.key))

    def _push(self, stage: Stage) -> None:
        """Copy a finished stage to the remote store; what could not be copied is copied by the next run."""
        if self.remote is not None:
            try:
                self.remote.push(self.store, stage.kind, stage.key)
            except EnvironmentFault as fault:
                self._say(f"{fault.message} It stays in {self.store.root}; the next run tries again.")

    def _locked(self, stage: Stage) -> contextlib.AbstractContextManager[int]:
        return self.store.lock(
            stage.kind,
            stage.key,
            lambda: self._say(f"waiting for another run that works on {stage.name}"),
        )

    def _reuse(self, stage: Stage) -> None:
        self.store.tidy(stage.kind, stage.key)
        with self.telling:
            self.outcome.reused.append(stage)
            self.reporter.reused(stage)

    def _executed(self, stage: Stage) -> None:
        manifest = self.store.manifest(stage.kind, stage.key) or {}
        with self.telling:
            self.outcome.executed.append(stage)
            self.reporter.finished(stage, manifest)
        if (first := manifest.get("summary", {}).get("first_prompt")) is not None:
            self._say(f"first prompt of {stage.label}, as {stage.inputs['model'].label} reads it:\n{first}")

    def _say(self, text: str) -> None:
        with self.telling:
            self.reporter.message(text)

    def _progress(self, stage: Stage, event: dict[str, Any]) -> None:
        with self.telling:
            self.reporter.progress(stage, event)

    def _failed(self, stage: Stage, error: BridgebenchError | OSError) -> None:
        if self.stopping:  # its child was ended by this driver
            raise KeyboardInterrupt
        why = error.message if isinstance(error, BridgebenchError) else str(_disk_fault(error).message)
        if isinstance(error, BridgebenchError) and error.hint:
            why += f"\n{error.hint}"
        with self.telling:
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
        inline.run(stage, self.store, self.recipe, partial(self._progress, stage))

    def _prepare(self, stage: Stage) -> None:
        out = specs.directory(self.store, stage)
        out.mkdir(parents=True, exist_ok=True)
        if stage.prepare is not None:
            stage.prepare(out)

    def _run_trainer(self, place: Place, stage: Stage) -> None:
        self._prepare(stage)
        spec = self.store.root / "specs" / f"{stage.kind}-{stage.key}.json"
        told = specs.trainer_spec(stage, self.store, self.recipe)
        if "requirements" in stage.execution:
            inspection.require(told["source"], stage.execution["requirements"])
        files.write_json(spec, told)
        log = self._log(stage.name)
        code = place.train(self._work([stage], spec, log), partial(self._progress, stage))
        if code == 130:
            raise KeyboardInterrupt
        if code != 0 or not self._done(stage):
            raise StageFailed(_reason(log, code), f"log: {log}", exit_code=code)

    def _work(self, stages: list[Stage], file: Path, log: Path) -> Work:
        locks = [self.store.lock_path(stage.kind, stage.key).with_suffix(".child") for stage in stages]
        gpus_needed = units.gpus_of(stages[0], self.resources)
        needed = units.host_memory(stages[0], self.store)

        def placed(node: str) -> None:
            for stage in stages:
                self._progress(stage, {"event": "placed", "node": node})

        return Work(
            stages[0].name, file, log, gpus_needed, self.resources.cpus, needed, sorted(locks), self._say, placed
        )

    # one engine for many checkpoints

    def run_group(self, group: list[Stage], place: Place) -> None:
        """Stages that one engine serves one after another."""
        wanted = [stage for stage in group if self.wanted(stage)]
        with contextlib.ExitStack() as stack:
            # every run takes these locks in the same order, so two runs cannot hold each other up for ever
            held = {s.name: stack.enter_context(self._locked(s)) for s in sorted(wanted, key=lambda s: s.key)}
            wanted = [stage for stage in wanted if self._still_wanted(stage)]
            while wanted:
                wanted = self._engine_round(wanted, place, list(held.values()))

    def _still_wanted(self, stage: Stage) -> bool:
        try:
            if not self._found(stage):
                return True
        except BridgebenchError as error:
            self._failed(stage, error)
        else:
            self._reuse(stage)
        return False

    def _engine_round(self, wanted: list[Stage], place: Place, descriptors: list[int]) -> list[Stage]:
        """Start an engine for ``wanted``; returns the stages that a next engine still has to do."""
        for stage in wanted:
            with self.telling:
                self.reporter.started(stage)
            specs.directory(self.store, stage).mkdir(parents=True, exist_ok=True)
        try:
            code, log = self._engine_job(wanted, place, descriptors)
        except (BridgebenchError, OSError) as error:
            for stage in wanted:
                self._failed(stage, error)
            return []
        left = [stage for stage in wanted if not self._done(stage)]
        for stage in wanted:
            if stage not in left:
                self._executed(stage)
                self._push(stage)
        if code == RESTART_ENGINE and len(left) < len(wanted):
            self._say("the engine could not prove a weight swap; starting it anew")
            return left
        if left:
            fault = StageFailed(_reason(log, code), f"log: {log}", exit_code=code)
            everywhere = code in (EnvironmentFault.exit_code, 0)
            for stage in left if everywhere else left[:1]:
                self._failed(stage, fault)
            return [] if everywhere else left[1:]
        return []

    def _engine_job(self, wanted: list[Stage], place: Place, descriptors: list[int]) -> tuple[int, Path]:
        first = wanted[0]
        if first.identity["backend"] == "vllm":
            _require_vllm()
        job = self.store.root / "specs" / f"generate-{first.key}.json"
        entries = [specs.generate_entry(stage, self.store, self.recipe) for stage in wanted]
        files.write_json(job, {"execution": first.execution, "stages": entries})
        log = self._log(first.name)
        by_directory = {entry["directory"]: stage for entry, stage in zip(entries, wanted, strict=True)}
        code = place.serve(self._work(wanted, job, log), partial(self._engine_event, by_directory), descriptors)
        if code == 130:
            raise KeyboardInterrupt
        return code, log

    def _engine_event(self, by_directory: dict[str, Stage], event: dict[str, Any]) -> None:
        stage = by_directory[event["directory"]]
        if event["event"] == "swap_refused":
            self._say(f"swap to {stage.label} refused: {event['reason']}")
        elif event["event"] == "progress":
            self._progress(stage, event)


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
