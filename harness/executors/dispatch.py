"""Which stage runs when, and where: the driver's main thread, which decides and waits.

Trainers first, then one engine for all checkpoints, then judging and aggregation. With one place everything takes
turns; with several, each takes what can run. A stage runs in the lane of its place (`harness.executors.local`).
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from harness.config import Resources
from harness.executors import units
from harness.executors.lane import Lane
from harness.executors.outcome import Outcome
from harness.executors.places import Place, Pool
from harness.progress import Reporter
from harness.stage import Stage, in_order
from harness.store import Store


class Dispatcher(ABC):
    """Runs stages on the places of a pool; how one is run, its subclass knows."""

    def __init__(self, store: Store, reporter: Reporter, pool: Pool) -> None:
        self.store, self.reporter, self.pool = store, reporter, pool
        self.outcome = Outcome()
        self.recipe = ""
        self.resources = Resources()
        self.rank: dict[str, int] = {}
        self.waiting: list[Stage] = []
        self.ready: list[Stage] = []
        self.running: list[Stage] = []
        self.driver = Lane()
        self.ended: queue.SimpleQueue[tuple[list[Stage], Place | None, BaseException | None]] = queue.SimpleQueue()
        self.stopping = False

    @abstractmethod
    def wanted(self, stage: Stage) -> bool:
        """Whether a stage whose inputs are settled has to run; if not, say so."""

    @abstractmethod
    def run_trainer(self, stage: Stage, place: Place) -> None:
        """Run a stage of the trainers in its lane."""

    @abstractmethod
    def run_group(self, group: list[Stage], place: Place) -> None:
        """Run stages that one engine serves, in its lane."""

    @abstractmethod
    def run_inline(self, stage: Stage) -> None:
        """Run a stage of the driver's own in its lane."""

    def run_stages(self, stages: list[Stage], recipe: str) -> Outcome:
        """`run` for stages in an order in which they can run."""
        self.recipe, self.waiting, self.stopping = recipe, list(stages), False
        self.rank = {stage.name: number for number, stage in enumerate(stages)}
        self.reporter.begin(recipe, len(stages))
        try:
            while self._settle():
                self._dispatch()
                self._wait()
        finally:
            self.stopping = True
            self.pool.close()
        return self.outcome

    def _settle(self) -> bool:
        """Move what has its inputs from waiting to ready, or out where it is done or held up; False at the end."""
        unsettled = {stage.name for stage in (*self.ready, *self.running)}
        waiting: list[Stage] = []
        for stage in self.waiting:
            if any(needed.name in unsettled for needed in stage.inputs.values()):
                waiting.append(stage)
            elif self.wanted(stage):
                self.ready.append(stage)
            else:
                continue
            unsettled.add(stage.name)
        self.waiting = waiting
        return bool(unsettled)

    def _dispatch(self) -> None:
        """Begin what finds a place. Engines wait for the trainers that are ready, the driver's own work for a machine
        that nothing else uses if there is but one place.
        """
        alone = self.pool.size <= 1
        if alone and self.running:
            return
        if self._trainers() and not (alone and self._feeds_engines()):
            self._engines()
        if self.driver.idle.is_set() and not (alone and self.running):
            self._inline(alone)
        if not self.running:
            raise AssertionError(f"nothing runs {(self.ready or self.waiting)[0].name}")

    def _trainers(self) -> bool:
        """Begin trainers, in their order; whether each found a place."""
        for stage in self._ready("trainer"):
            place = self.pool.take(units.slots_of(stage, self.resources))
            if place is None:
                return False  # nothing overtakes it, or a stage of many GPUs would wait for ever
            self._begin([stage], place, partial(self.run_trainer, stage, place))
        return True

    def _engines(self) -> None:
        ready = self._ready("engine")
        wide = max((units.slots_of(stage, self.resources) for stage in ready), default=1)
        for group in units.shares(list(units.engine_groups(ready, self.store)), self.pool.free // wide):
            place = self.pool.take(units.slots_of(group[0], self.resources))
            if place is None:
                return
            self._begin(group, place, partial(self.run_group, group, place))

    def _feeds_engines(self) -> bool:
        """Whether the driver's own work is ready that an engine waits for: one started before it would start again."""
        waited_for = {
            needed.name
            for stage in self.waiting
            if units.worker(stage) == "engine"
            for needed in in_order([stage])
            if needed is not stage
        }
        return any(stage.name in waited_for for stage in self._ready("driver"))

    def _inline(self, alone: bool) -> None:
        """Begin the driver's next own stage; in the main thread, which Ctrl-C interrupts, if nothing runs beside it."""
        for stage in self._ready("driver")[:1]:
            self._begin([stage], None, partial(self.run_inline, stage), here=alone)

    def _ready(self, who: str) -> list[Stage]:
        """What ``who`` could run, in the plan's order."""
        found = [stage for stage in self.ready if units.worker(stage) == who]
        return sorted(found, key=lambda stage: self.rank[stage.name])

    def _begin(self, stages: list[Stage], place: Place | None, work: Callable[[], None], *, here: bool = False) -> None:
        begun = {stage.name for stage in stages}
        self.ready = [stage for stage in self.ready if stage.name not in begun]
        self.running += stages
        if here:
            work()
            self.ended.put((stages, place, None))
            return
        lane = place.lane if place is not None else self.driver
        lane.begin(work, lambda error: self.ended.put((stages, place, error)))

    def _wait(self) -> None:
        """Until something ends. Raises what it raised: StageFailed without ``keep_going``, KeyboardInterrupt."""
        stages, place, error = self.ended.get()
        ended = {stage.name for stage in stages}
        self.running = [stage for stage in self.running if stage.name not in ended]
        if place is not None:
            self.pool.give_back(place)
        if error is not None:
            raise error
