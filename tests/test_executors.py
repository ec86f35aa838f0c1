"""Places and who gets them: which GPUs are seen, no two stages on one, everything once and in order."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import process, recipe_file
from harness.config import Resources
from harness.errors import EnvironmentFault
from harness.executors import units
from harness.executors.dispatch import Dispatcher
from harness.executors.gpus import Gpu, visible
from harness.executors.local import LocalExecutor
from harness.executors.places import Place, Work
from harness.executors.slots import Share, Slots
from harness.plan import make_plan
from harness.process import OnEvent
from harness.progress import LineReporter
from harness.stage import Stage, in_order
from harness.store import Store
from tests.test_smoke import bridgebench

FOUR = "0, 81559\n1, 81559\n2, 81559\n3, 40960\n"


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["0", "1", "2", "3"]),
        ("2,0", ["2", "0"]),
        ("", []),
        ("-1", []),
        ("1,7,2", ["1"]),
        ("GPU-5d1c,3", ["GPU-5d1c", "3"]),
    ],
)
def test_the_gpus_are_those_that_cuda_would_see(allowed: str | None, names: list[str]) -> None:
    environment = {} if allowed is None else {"CUDA_VISIBLE_DEVICES": allowed}
    assert [gpu.name for gpu in visible(environment, FOUR)] == names
    assert visible(environment, "") == []


def test_a_gpu_is_known_by_its_index_and_memory() -> None:
    assert visible({}, FOUR)[3] == Gpu("3", 40960)


def cuda_stage(kind: str, name: str, inputs: list[Stage]) -> Stage:
    identity = {"name": name, "device": "cuda"}
    if kind == "generate":
        identity |= {"backend": "transformers" if name.endswith("0") else "precomputed"}
    return Stage(kind, name, identity, {"model" if i == 0 else str(i): each for i, each in enumerate(inputs)})


@st.composite
def plans(draw: st.DrawFn) -> list[Stage]:
    """Random graphs of trainers', engines' and the driver's own stages."""
    stages: list[Stage] = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["train", "convert", "generate", "aggregate"]))
        before = draw(st.lists(st.integers(0, 13), max_size=2))
        needed = [stages[each] for each in sorted({each for each in before if each < number})]
        if kind == "generate" and not needed:  # an engine serves a model
            kind = "convert"
        stages.append(cuda_stage(kind, f"{number}-{number % 2}", needed))
    return stages


class Rehearsal(Dispatcher):
    """A dispatcher whose stages do nothing but note when they ran, and on which slots."""

    def __init__(self, store: Store, slots: int, resources: Resources) -> None:
        super().__init__(store, LineReporter(quiet=True), Slots([Gpu(str(i), None) for i in range(slots)]))
        self.resources = resources
        self.done: list[Stage] = []
        self.held: Counter[str] = Counter()
        self.lock = threading.Lock()

    def wanted(self, stage: Stage) -> bool:
        return True

    def run_trainer(self, stage: Stage, place: Place) -> None:
        self._note([stage], [slot.gpu.name for slot in place.slots])  # type: ignore[attr-defined]

    def run_group(self, group: list[Stage], place: Place) -> None:
        self._note(group, [slot.gpu.name for slot in place.slots])  # type: ignore[attr-defined]

    def run_inline(self, stage: Stage) -> None:
        self._note([stage], ["driver"])

    def _note(self, stages: list[Stage], names: list[str]) -> None:
        with self.lock:
            self.held.update(names)
            assert max(self.held.values()) == 1, "two stages hold one slot"
            done = {stage.name for stage in self.done}
            assert all(needed.name in done for stage in stages for needed in stage.inputs.values())
        time.sleep(0.0002 * len(stages[0].label))
        with self.lock:
            self.held.subtract(names)
            self.done += stages


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(1, 4), st.integers(1, 4))
def test_every_stage_runs_once_after_its_inputs_and_no_slot_is_held_twice(
    stages: list[Stage], slots: int, training_gpus: int
) -> None:
    rehearsal = Rehearsal(Store(Path("nowhere")), slots, Resources(training_gpus=min(slots, training_gpus)))
    rehearsal.run_stages(stages, "rehearsal")
    assert sorted(stage.name for stage in rehearsal.done) == sorted(stage.name for stage in stages)


def test_a_group_is_dealt_out_over_free_places_and_no_stage_is_lost() -> None:
    groups = [[cuda_stage("generate", f"{group}-{i}", []) for i in range(5)] for group in range(2)]
    for places in range(1, 9):
        dealt = list(units.shares(groups, places))
        assert len(dealt) <= max(places, len(groups))
        assert sorted(s.name for share in dealt for s in share) == sorted(s.name for group in groups for s in group)
    assert len(list(units.shares(groups[:1], 3))) == 3


class WatchedShare(Share):
    """Notes what its children were given: CUDA_VISIBLE_DEVICES as the kernel shows it."""

    def __init__(self, share: Share, seen: list[tuple[str, str, str]]) -> None:
        super().__init__(share.slots)
        self.seen = seen

    def train(self, work: Work, on_event: OnEvent) -> int:
        return super().train(work, self._noting(work, on_event))

    def serve(self, work: Work, on_event: OnEvent, descriptors: Sequence[int]) -> int:
        return super().serve(work, self._noting(work, on_event), descriptors)

    def _noting(self, work: Work, on_event: OnEvent) -> OnEvent:
        slot = self.slots[0]

        def note(event: dict[str, Any]) -> None:
            engine = slot.engine.process if slot.engine is not None else None
            assert engine is None or all(each.trainers.child is None for each in self.slots), "a trainer is beside it"
            child = engine or slot.trainers.child
            assert child is not None
            self.seen.append((work.name, ",".join(each.gpu.name for each in self.slots), visible_to(child.pid)))  # type: ignore[union-attr]
            on_event(event)

        return note


def visible_to(pid: int) -> str:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next((line.partition("=")[2] for line in lines if line.startswith("CUDA_VISIBLE_DEVICES=")), "")


class WatchedSlots(Slots):
    """Two slots of a machine that has no GPU: children are pinned as on one that has, and run on the CPU."""

    def __init__(self) -> None:
        super().__init__([Gpu("0", None), Gpu("1", None)])
        self.seen: list[tuple[str, str, str]] = []
        self.most_held = 0

    def take(self, count: int) -> Share | None:
        share = super().take(count)
        self.most_held = max(self.most_held, self.size - self.free)
        held = [slot for slot in self.slots if slot not in self.unused]
        assert share is None or all(slot in held for slot in share.slots)
        return share and WatchedShare(share, self.seen)


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, WatchedSlots, LocalExecutor]:
    store = Store(tmp_path_factory.mktemp("slots"))
    slots = WatchedSlots()
    executor = LocalExecutor(store, LineReporter(quiet=True), pool=slots)
    executor.run(make_plan(recipe_file.load("smoke", SMALLEST, store.root / "recipes"), store.root / "downloads"))
    return store, slots, executor


SMALLEST = ("variants={sft: {objective: sft}}", "benchmark.rows=6", "data.sft.rows=16", "data.preference.rows=8")


@pytest.mark.slow
def test_two_slots_work_at_once_and_each_child_sees_its_own_gpu_alone(
    shared_run: tuple[Store, WatchedSlots, LocalExecutor],
) -> None:
    _, slots, executor = shared_run
    assert not executor.outcome.failed, executor.outcome.failed
    assert len(executor.outcome.executed) == len({stage.name for stage in executor.outcome.executed})
    assert slots.most_held == 2
    assert {given for _, given, _ in slots.seen} == {"0", "1"}
    assert all(given == saw for _, given, saw in slots.seen)
    assert {name.partition("/")[0] for name, _, _ in slots.seen} >= {"train", "generate"}
    assert slots.free == 2
    assert all(slot.trainers.child is None for slot in slots.slots)


@pytest.mark.slow
def test_training_over_two_slots_is_one_stage_under_torchrun_that_holds_both(
    shared_run: tuple[Store, WatchedSlots, LocalExecutor],
) -> None:
    store, slots, _ = shared_run
    loaded = recipe_file.load("smoke", (*SMALLEST, "seeds=[1]", "resources.training_gpus=2"), store.root / "recipes")
    plan = make_plan(loaded, store.root / "downloads")
    train = next(stage for stage in plan.stages if stage.kind == "train" and not stage.label.endswith("dpo"))
    executor = LocalExecutor(store, LineReporter(quiet=True), pool=slots)
    executor.resources = plan.recipe.resources
    outcome = executor.run_stages(in_order([train]), "smoke")
    assert not outcome.failed, outcome.failed
    assert [stage.name for stage in outcome.executed] == [train.name]
    assert {(given, saw) for name, given, saw in slots.seen if name == train.name} == {("0,1", "0,1")}


def test_more_gpus_than_there_are_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = bridgebench(tmp_path, "run", "smoke", "--set", "resources.training_gpus=64", check=3)
    assert "asks for 64 GPUs, and this machine has" in done.stderr
    assert not list(tmp_path.rglob("manifest.json"))


def test_what_a_stage_takes_of_a_machine_changes_no_key(tmp_path: Path) -> None:
    def keys(*changes: str) -> list[str]:
        recipe = recipe_file.load("smoke", changes, tmp_path)
        return [stage.name for stage in make_plan(recipe, tmp_path / "downloads").stages]

    assert keys() == keys("resources.training_gpus=4", "resources.cpus=3")


def test_an_engine_holds_as_many_slots_as_its_model_is_split_over() -> None:
    identity = {"backend": "vllm", "dtype": "bfloat16", "device": "cuda"}
    assert units.slots_of(Stage("generate", "sft", identity), Resources(training_gpus=4)) == 1
    assert units.slots_of(Stage("generate", "sft", identity | {"tensor_parallel": 2}), Resources(training_gpus=4)) == 2


def test_slots_say_how_many_gpus_the_machine_has() -> None:
    with pytest.raises(EnvironmentFault, match="train sft asks for 3 GPUs, and this machine has 2"):
        Slots([Gpu("0", None), Gpu("1", None)]).require(3, "train sft")


def test_engines_alone_are_kept_from_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHDYNAMO_DISABLE", raising=False)
    assert "TORCHDYNAMO_DISABLE" not in process.environment_of("trainers")
    assert process.environment_of("harness.backends.job")["TORCHDYNAMO_DISABLE"] == "1"
