"""A row → its checkpoint's model card: recipe, data, metrics with intervals, provenance, the hub's model-index."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from harness import files
from harness.board_evidence import Board
from harness.errors import BridgebenchError, EnvironmentFault
from harness.leaderboard import display, fields
from harness.store import Store, split_name

NOT_PUBLISHED = ("probe.json", "manifest.json")


def write(board: Board, row: str, store: Store, target: Path, *, copy: bool = False) -> None:
    """The checkpoint of ``row`` with its card, into an empty directory; weights are linked unless ``copy``.

    Raises BridgebenchError without a checkpoint.
    """
    checkpoint = checkpoint_of(board, row, store)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and path.name not in NOT_PUBLISHED:
            if copy:
                shutil.copyfile(path, target / path.name)
            else:
                (target / path.name).symlink_to(path.resolve())
    files.write_text(target / "README.md", card(board, row))


def checkpoint_of(board: Board, row: str, store: Store) -> Path:
    """The weights that a row's completions came from. Raises BridgebenchError where there are none here."""
    keys = board.stage_keys(row)
    name = next((keys[kind] for kind in ("train_preference", "train", "model") if kind in keys), None)
    if name is None:
        raise BridgebenchError(f"{board.name}/{row} has no checkpoint here: its answers came from elsewhere.")
    path = store.path(*split_name(name)) / "checkpoint"
    if not path.is_dir():
        raise BridgebenchError(
            f"the checkpoint of {board.name}/{row} ({name}) is not in {store.root}.",
            f"bridgebench run {board.name}   makes it again",
        )
    return path


def card(board: Board, row: str) -> str:
    """The text of README.md."""
    try:
        from huggingface_hub import EvalResult, ModelCard, ModelCardData
    except ImportError:
        raise EnvironmentFault("the package huggingface_hub is missing.", "pip install 'bridgebench[hub]'") from None
    figures = board.row(row)
    base = str(board.data.get("base") or "")
    data = ModelCardData(
        model_name=f"{board.name}-{row}",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["bridgebench"],
        base_model=base.removeprefix("hub:").partition("@")[0] if base.startswith("hub:") else None,
        eval_results=[EvalResult(**result) for result in results(board, figures)] or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(board, row)}"))


def results(board: Board, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The arguments of the hub's ``EvalResult``, one per benchmark and metric that the row has."""
    found = []
    for benchmark in board.benchmarks:
        figures = (row.get("benchmarks") or {}).get(benchmark) or row
        for metric in fields.METRICS:
            value = figures.get(metric.key)
            if value is not None:
                found.append(
                    {
                        "task_type": "text-generation",
                        "dataset_type": str(benchmark).partition(" ")[0].removeprefix("builtin:"),
                        "dataset_name": str(benchmark),
                        "metric_type": metric.key,
                        "metric_value": round(value, 4),
                        "metric_name": f"{metric.label} (95 %: {_span(figures, metric.key)}; n = {figures.get('n')})",
                    }
                )
    return found


def _span(figures: dict[str, Any], key: str) -> str:
    return display.interval(figures.get(f"{key}_low"), figures.get(f"{key}_high")) or "no interval"


def _body(board: Board, name: str) -> str:
    row = board.row(name)
    parts = [
        f"# {board.name}: {name}",
        f"One row of the board “{board.data.get('title') or board.name}”, evaluated with bridgebench.",
        "## Results",
        _results_table(board, row),
        f"Compared with `{board.data.get('baseline')}` by the judge `{board.data.get('judge')}`. "
        "Rates are 0 to 100; a missing verdict enters none of them.",
        *(f"- {note}" for note in board.data.get("notes") or []),
        "## How it was made",
        _facts(row),
        *_recipe(board),
        "## Provenance",
        _provenance(board, name),
        "The base model's licence applies to these weights.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _results_table(board: Board, row: dict[str, Any]) -> str:
    lines = ["| Benchmark | Metric | Value | 95 % interval | Prompts | Missing |", "|:--|:--|--:|--:|--:|--:|"]
    for benchmark in board.benchmarks:
        figures = (row.get("benchmarks") or {}).get(benchmark) or row
        for metric in fields.METRICS:
            if figures.get(metric.key) is not None:
                cells = [str(benchmark), metric.label, display.rate(figures[metric.key]), _span(figures, metric.key)]
                lines.append(f"| {' | '.join([*cells, str(figures.get('n')), str(figures.get('n_missing'))])} |")
    return "\n".join(lines)


FACTS = (
    "objective",
    "divergence",
    "form",
    "beta",
    "curvature",
    "learning_rate",
    "preference_stage",
    "dpo_beta",
    "seed",
)


def _facts(row: dict[str, Any]) -> str:
    facts = [f"- {key.replace('_', ' ')}: {row[key]}" for key in (*FACTS, "seed", "source") if row.get(key) is not None]
    return "\n".join(facts) or "The untouched base model."


def _recipe(board: Board) -> list[str]:
    recipe = board.data.get("recipe")
    if not recipe:
        return []
    data = recipe.get("data") or {}
    used = [f"- {role}: {source['source']}, split {source['split']}" for role, source in data.items() if source]
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True).rstrip("\n")
    listed = ["Data:", "\n".join(used)] if used else []
    return [*listed, f"The whole recipe, defaults written out:\n\n```yaml\n{text}\n```"]


def _provenance(board: Board, name: str) -> str:
    lines = ["| Stage | Commit | Command | Finished |", "|:--|:--|:--|:--|"]
    for stage in board.stage_keys(name).values():
        manifest = board.evidence.manifest(stage) or {}
        commit = str(manifest.get("commit") or "unknown")[:12] + ("+changes" if manifest.get("dirty") else "")
        command = str(manifest.get("command") or "").replace("|", "\\|")
        lines.append(f"| `{stage}` | `{commit}` | `{command}` | {manifest.get('finished')} |")
    versions = board.data.get("versions") or {}
    said = ", ".join(f"{package} {version}" for package, version in versions.items())
    return "\n".join(lines) + (f"\n\nVersions: {said}." if said else "")
