"""The plan on one screen: what is done, what will run, and why."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from harness.errors import IntegrityError
from harness.plan import Plan
from harness.scan import Scan
from harness.stage import Stage
from harness.store import MANIFEST, Store, read_manifest


@dataclass(frozen=True)
class StageState:
    """A stage, its state in the store, and why it will run (empty when it will not)."""

    stage: Stage
    state: str
    why: str
    causes: tuple[str, ...] = ()


def states(plan: Plan, store: Store) -> list[StageState]:
    """The state of every stage, in running order."""
    scan = Scan(store)
    history = _History(store, plan)
    found: dict[str, StageState] = {}
    for stage in plan.stages:
        state = scan.state(stage.kind, stage.key)
        pending = [needed.name for needed in stage.inputs.values() if found[needed.name].state != "done"]
        why = "" if state == "done" else _why(stage, pending, history)
        found[stage.name] = StageState(stage, state, why, tuple(pending))
    return list(found.values())


def _why(stage: Stage, pending: list[str], history: _History) -> str:
    changed = history.changes(stage)
    if changed:
        return "; ".join(changed)
    if pending:
        return f"follows {pending[0]}"
    return "never run"


class _History:
    """Earlier stages of the same kind and label, to say what changed since; the plan's own stages are not earlier."""

    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self.by_label: dict[tuple[str, str], list[dict[str, Any]]] | None = None

    def changes(self, stage: Stage) -> list[str]:
        """Settings that differ from the latest finished stage with this label; empty if there is none."""
        earlier = self._manifests().get((stage.kind, stage.label), [])
        if not earlier:
            return []
        latest = max(earlier, key=lambda manifest: str(manifest.get("finished")))
        return differences(latest.get("identity", {}), stage.identity)

    def _manifests(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        if self.by_label is None:
            self.by_label = {}
            current = {(stage.kind, stage.key) for stage in self.plan.stages}
            for kind, key in self.store.stages():
                path = self.store.path(kind, key) / MANIFEST
                if (kind, key) not in current and path.exists():
                    with contextlib.suppress(IntegrityError):  # it only explains; `status` and `verify` tell of it
                        manifest = read_manifest(path)
                        self.by_label.setdefault((kind, str(manifest.get("label"))), []).append(manifest)
        return self.by_label


def differences(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> list[str]:
    """``learning_rate 2e-05 → 5e-05`` for every setting that differs, groups of settings opened."""
    changed = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            changed += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            changed.append(f"{prefix}{name} {_short(old)} → {_short(new)}")
    return changed


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:8]}…"


def as_rows(found: list[StageState]) -> list[dict[str, Any]]:
    """For ``--json``."""
    return [
        {
            "stage": item.stage.name,
            "kind": item.stage.kind,
            "label": item.stage.label,
            "state": item.state,
            "why": item.why,
            "inputs": item.stage.input_keys,
        }
        for item in found
    ]


def screen(plan: Plan, found: list[StageState]) -> str:
    """The aligned summary that ``bridgebench plan`` prints."""
    recipe = plan.recipe
    base = [plan.base.short_name] if plan.base is not None else []
    lines = [" · ".join([recipe.name, f"{len(plan.rows)} rows", *base, ", ".join(plan.prompt_counts)])]
    lines += [f"refused   {name}: {error.message}" for name, error in plan.refused.items()]
    for kind in dict.fromkeys(item.stage.kind for item in found):
        lines.append(_kind_line(kind, [item for item in found if item.stage.kind == kind]))
    reasons = [item for item in found if item.state != "done" and not _only_follows(item)]
    if reasons:
        lines += _why_lines(reasons)
    followers = sum(item.state != "done" for item in found) - len(reasons)
    if followers:
        lines.append(f"     … and {followers} stages that follow from these")
    lines.append(_effort(plan, found))
    return "\n".join(lines)


def _only_follows(item: StageState) -> bool:
    return item.why.startswith("follows ")


def _kind_line(kind: str, items: list[StageState]) -> str:
    count = {state: sum(item.state == state for item in items) for state in ("done", "running", "partial", "absent")}
    cells = [f"{count['done']:>3} done"]
    cells += [f"{count[state]} {state}" for state in ("running", "partial") if count[state]]
    if count["absent"]:
        cells.append(f"{count['absent']:>3} to run")
    noun = "stage " if len(items) == 1 else "stages"
    return f"{kind:<9} {len(items):>3} {noun}   " + "   ".join(cells)


def _why_lines(reasons: list[StageState], most: int = 12) -> list[str]:
    lines = [
        f"{'why' if not index else '':<4} {item.stage.kind}/{item.stage.key[:6]}  {item.stage.label}: {item.why}"
        for index, item in enumerate(reasons[:most])
    ]
    return lines + ([f"     … and {len(reasons) - most} more"] if len(reasons) > most else [])


def _effort(plan: Plan, found: list[StageState]) -> str:
    if not any(item.state != "done" for item in found):
        return "nothing to run"
    waiting = {item.stage.name for item in found if item.stage.kind == "generate" and item.state != "done"}
    lines = []
    for name, evaluation in plan.recipe.evaluations.items():
        prompts = plan.prompt_counts[name]
        stages = sum(row.evaluations[name].generate.name in waiting for row in plan.rows)
        lines.append(
            f"{name}: {stages * prompts} completions to generate ({prompts} prompts), judge {evaluation.judge.name}"
            + (": free" if evaluation.judge.name == "rules" else "")
        )
    return "\n".join(lines)
