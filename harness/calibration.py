"""How far a judge can be trusted, where the truth is known: accuracy, order bias and length bias on builtin:microtasks.

Each pair is a demonstration that passes its exact verifier and a plausible response that does not. The pair goes
through the same stages as a board's rows, so the judge is the one that the board uses, word for word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from harness import files, specs
from harness.config import Recipe
from harness.data import microtasks
from harness.errors import ConfigError, StageFailed
from harness.executors.local import LocalExecutor
from harness.judges.settings import MtBenchJudge, Rules
from harness.plan import make_plan
from harness.progress import Reporter
from harness.protocols.order import first_shown_preference
from harness.recipe_file import validated
from harness.stage import Stage
from harness.stats.intervals import difference_interval, rate_interval
from harness.store import Store

Line = dict[str, Any]
GOOD, BAD = "demonstration", "rejected"
DEFAULT_PAIRS = 160
NOT_THE_JUDGE = ("model", "baseline", "max_missing")
"""Keys of a judge stage's identity that say whom it judges, not who judges."""


@dataclass(frozen=True)
class Pair:
    """A prompt with a response that passes and one that does not."""

    prompt: Line
    good: str
    bad: str


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """Pairs whose verifier scores differ the right way; ``count`` rows of the preference split are looked at."""
    found = []
    for row in microtasks.build("preference", rows=count, seed=seed):
        prompt = {"id": row["id"], "messages": row["prompt"], **{key: row[key] for key in ("part", "family", "check")}}
        if microtasks.score(row["check"], row["chosen"]) > microtasks.score(row["check"], row["rejected"]):
            found.append(Pair(prompt, row["chosen"], row["rejected"]))
    return found


def calibrate(recipe: Recipe, benchmark: str | None, store: Store, reporter: Reporter, *, count: int) -> Line:
    """Judge the pairs with the judge of ``recipe`` (of its first benchmark, or of ``benchmark``) and keep the figures.

    Raises ConfigError for a judge that compares nothing, StageFailed where too many of its verdicts are missing.
    """
    judge = _judge(recipe, benchmark)
    known = pairs(count)
    folder = store.root / "calibration" / "pairs" / f"{len(known)}-{microtasks.source_digest()[:8]}"
    plan = make_plan(_recipe(judge, known, folder), store.root / "downloads")
    stage = next(row.primary.judge for row in plan.rows if row.name == GOOD)
    executor = LocalExecutor(store, reporter)
    outcome = executor.run_stages(_needed(stage), plan.recipe.name)
    if outcome.failed:
        raise StageFailed("the judge could not be calibrated: " + "\n".join(outcome.failed.values()))
    verdicts = files.read_jsonl(specs.directory(store, stage) / "verdicts.jsonl")
    measured = {"judge": judge.name, **figures(verdicts), "identity": identity_of(stage)}
    files.write_json(path_of(store, stage), measured)
    return measured


def _judge(recipe: Recipe, benchmark: str | None) -> Any:
    evaluations = recipe.evaluations
    name = benchmark or next(iter(evaluations))
    if name not in evaluations:
        raise ConfigError(f'{recipe.name} has no benchmark "{name}".', f"it has {', '.join(evaluations)}")
    judge = evaluations[name].judge
    if isinstance(judge, MtBenchJudge):
        raise ConfigError(
            "an mt_bench judge rates single answers of two turns; there are no pairs to calibrate it on.",
            "calibrate a judge that compares two answers",
        )
    return judge


def _needed(stage: Stage) -> list[Stage]:
    from harness.stage import in_order

    return in_order([stage])


def _recipe(judge: Any, known: list[Pair], folder: Path) -> Recipe:
    """The pairs as a benchmark with two rows of stored answers."""
    files.write_jsonl(folder / "prompts.jsonl", [pair.prompt for pair in known])
    for row in (GOOD, BAD):
        texts = [pair.good if row == GOOD else pair.bad for pair in known]
        lines = [{"prompt_id": pair.prompt["id"], "text": text} for pair, text in zip(known, texts, strict=True)]
        files.write_jsonl(folder / f"{row}.jsonl", lines)
    values = {
        "name": "calibration",
        "title": "Judge calibration",
        "benchmark": {"source": str(folder / "prompts.jsonl")},
        "externals": {row: {"outputs": str(folder / f"{row}.jsonl")} for row in (GOOD, BAD)},
        "judge": judge.model_dump(mode="json") | {"baseline": BAD},
    }
    return validated(values, folder / "recipe.yaml")


def figures(verdicts: list[Line], seed: int = 0) -> Line:
    """What verdicts on pairs whose model side is right say of their judge; rates 0 to 100, intervals 95 % over pairs.

    ``accuracy``: share of its verdicts that prefer the right answer, a tie counting one half.
    ``first_position_rate``: mean preference for the answer shown first, 50 without order bias.
    ``length_bias``: how much more often it prefers the longer answer than the longer one is right, in points.
    """
    prompts: dict[str, list[Line]] = defaultdict(list)
    for line in verdicts:
        if line["preference"] is not None:
            prompts[line["prompt_id"]].append(line)
    if not prompts:
        raise StageFailed("none of the judge's verdicts can be read.")
    accuracy = np.array([fmean(_right(line["preference"]) for line in lines) for lines in prompts.values()])
    first = [value for lines in prompts.values() if (value := _first(lines)) is not None]
    longer = [value for lines in prompts.values() if (value := _for_longer(lines)) is not None]
    both = [{_right(line["preference"]) for line in lines} for lines in prompts.values() if len(lines) > 1]
    return {
        "n": len(prompts),
        "n_missing": sum(line["preference"] is None for line in verdicts),
        **_rate("accuracy", accuracy, seed),
        **_rate("first_position_rate", np.array(first), seed),
        "position_consistency": 100 * fmean(len(sides) == 1 for sides in both) if both else None,
        **_difference("length_bias", np.array(longer), seed),
        "note": f"{len(prompts)} pairs of builtin:microtasks whose better answer an exact verifier decides; "
        "short instruction-following tasks, not the benchmark's own prompts",
    }


def _right(preference: float) -> float:
    return 0.5 if preference == 0.5 else float(preference > 0.5)


def _first(lines: list[Line]) -> float | None:
    values = [value for line in lines if (value := first_shown_preference(line)) is not None]
    return fmean(values) if values else None


def _for_longer(lines: list[Line]) -> float | None:
    """Preference for the longer answer less whether that is the right one, in [-1, 1]; None for equal lengths."""
    own, other = lines[0]["length_model"], lines[0]["length_baseline"]
    if own == other:
        return None
    preference = fmean(_right(line["preference"]) for line in lines)
    return preference - 1.0 if own > other else 1.0 - preference


def _rate(name: str, values: np.ndarray, seed: int) -> Line:
    if not len(values):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    interval = rate_interval(values, seed=seed)
    return {name: 100 * float(values.mean()), f"{name}_low": interval.low, f"{name}_high": interval.high}


def _difference(name: str, values: np.ndarray, seed: int) -> Line:
    if not len(values):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    interval = difference_interval(values, seed=seed)
    return {name: 100 * float(values.mean()), f"{name}_low": interval.low, f"{name}_high": interval.high}


# where the figures are kept, and found again by a board


def identity_of(stage: Stage) -> Line:
    """Who judges, of a judge stage's identity."""
    return {key: value for key, value in stage.identity.items() if key not in NOT_THE_JUDGE}


def path_of(store: Store, stage: Stage) -> Path:
    """``calibration/<judge>-<digest of its identity>/calibration.json``."""
    judge = stage.execution.get("judge") or Rules()
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", judge.name).strip("-")[:48]
    digest = files.sha256_text(files.canonical_json(identity_of(stage)))[:8]
    return store.root / "calibration" / f"{slug}-{digest}" / "calibration.json"


def of_board(store: Store, stage: Stage) -> Line | None:
    """The figures of a board's judge, if it was calibrated, with the ``measures`` that its pages show."""
    path = path_of(store, stage)
    if not path.is_file():
        return None
    known = {key: value for key, value in files.read_json(path).items() if key != "identity"}
    return known | {"measures": _measures(known)}


MEASURES = {
    "accuracy": ("Accuracy", "share of its verdicts that prefer the right answer, a tie counting one half"),
    "first_position_rate": ("First position", "mean preference for the answer shown first; 50 without order bias"),
    "position_consistency": ("Position consistency", "pairs on which both orders agree"),
    "length_bias": (
        "Length bias",
        "how much more often it prefers the longer answer than that is right; 0 is none",
    ),
}


def _measures(known: Line) -> list[Line]:
    return [
        {
            "label": label,
            "value": known[name],
            "low": known.get(f"{name}_low"),
            "high": known.get(f"{name}_high"),
            "n": known["n"],
            "explanation": explanation,
        }
        for name, (label, explanation) in MEASURES.items()
        if known[name] is not None
    ]


def text(measured: Line) -> str:
    """For the terminal."""
    lines = [f"{measured['judge']} on {measured['n']} pairs ({measured['n_missing']} verdicts missing)"]
    for name in ("accuracy", "first_position_rate", "length_bias"):
        if measured[name] is not None:
            shown = f"{measured[name]:6.1f}   [{measured[f'{name}_low']:.1f}, {measured[f'{name}_high']:.1f}]"
            lines.append(f"  {name.replace('_', ' '):<22}{shown}")
    if measured["position_consistency"] is not None:
        lines.append(f"  {'position consistency':<22}{measured['position_consistency']:6.1f}")
    return "\n".join([*lines, f"  {measured['note']}"])
