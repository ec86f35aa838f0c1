"""``publish``: where a board goes, decided by ``--to``; what goes there is made by the modules named here.

a directory   `harness.publish`   the board with its evidence (``workflow`` adds one for GitHub Pages)
hub:…         `hub_upload`        the same, or a row's checkpoint with its card; only told about without ``yes``
csv, …        `formats`           one table
alpaca_eval   `alpaca_export`     outputs and annotations per row, as AlpacaEval takes submissions
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import board_evidence as evidence
from harness import files, publish, recipe_file
from harness.board_evidence import Board
from harness.config import Recipe
from harness.errors import BridgebenchError, ConfigError
from harness.plan import make_plan
from harness.publishing import formats, hub_upload
from harness.store import Store

ALPACA_EVAL = "alpaca_eval"


@dataclass(frozen=True)
class Order:
    """What the command line asked for."""

    board: str
    to: str
    out: Path | None = None
    row: str | None = None
    workflow: bool = False
    yes: bool = False
    private: bool = False


def run(order: Order, store: Store) -> str:
    """Do it, and say what was done. Raises BridgebenchError."""
    if order.to in formats.FORMATS:
        return _table(order, store)
    if order.to == ALPACA_EVAL:
        return _alpaca_eval(order, store)
    if order.to.startswith("hub:"):
        return _to_hub(order, store)
    destination = Path(order.to)
    if order.row is not None:
        return _checkpoint(order, store, destination)
    count = write(order.board, store, destination)
    if order.workflow:
        _write_workflow(destination)
    return f"{count} files in {destination}"


def write(name: str, store: Store, destination: Path) -> int:
    """A recipe's finished board, or any other board that is there, with its evidence; returns the number of files."""
    if _is_recipe(name, store):
        plan = make_plan(_recipe(name, store), store.root / "downloads")
        return publish.to_directory(plan, store, destination)
    return publish.copy_board(evidence.board(name, store), destination)


def _recipe(name: str, store: Store) -> Recipe:
    """What the store's board of that name was built from, ``--set`` included; the recipe itself where there is none."""
    built = store.root / "boards" / name / evidence.DATA
    if built.is_file() and (kept := files.read_json(built).get("recipe")) is not None:
        return Recipe.model_validate(kept)
    return recipe_file.load(name, (), store.root / recipe_file.SAVED)


def _is_recipe(name: str, store: Store) -> bool:
    try:
        recipe_file.locate(name, store.root / recipe_file.SAVED)
    except ConfigError:
        return False
    return True


def _table(order: Order, store: Store) -> str:
    text = formats.render(evidence.board(order.board, store), order.to)
    if order.out is None:
        return text.rstrip("\n")
    files.write_text(order.out, text)
    return f"{order.out}"


def _alpaca_eval(order: Order, store: Store) -> str:
    from harness.publishing import alpaca_export

    if order.out is None:
        raise ConfigError("--to alpaca_eval writes several files, so it needs a place.", "add --out DIR")
    names = alpaca_export.write(evidence.board(order.board, store), order.out, order.row)
    return f"{len(names)} rows in {order.out}: {', '.join(names)}"


def _checkpoint(order: Order, store: Store, destination: Path) -> str:
    from harness.publishing import model_card

    if destination.exists() and any(destination.iterdir()):
        raise BridgebenchError(f"{destination} is not empty; nothing was overwritten.", "choose another --to")
    assert order.row is not None
    model_card.write(evidence.board(order.board, store), order.row, store, destination, copy=True)
    return f"checkpoint and card of {order.board}/{order.row} in {destination}"


def _to_hub(order: Order, store: Store) -> str:
    target = hub_upload.parse(order.to)
    if (target.kind == "models") != (order.row is not None):
        raise ConfigError(
            "a model repository takes one row's checkpoint, and only that.",
            "--to hub:models/org/name --row ROW, or --to hub:datasets/org/name for the whole board",
        )
    with tempfile.TemporaryDirectory(prefix="bridgebench-") as temporary:
        directory = Path(temporary) / "upload"
        _fill(directory, order, target, store)
        told = hub_upload.announcement(directory, target)
        if not order.yes:
            return f"{told}\nnothing was uploaded; --yes uploads it"
        address = hub_upload.upload(directory, target, f"bridgebench: {order.board}", private=order.private)
        return f"{told}\nuploaded: {address}"


def _fill(directory: Path, order: Order, target: hub_upload.Target, store: Store) -> None:
    from harness.publishing import model_card

    if order.row is not None:
        model_card.write(evidence.board(order.board, store), order.row, store, directory)
        return
    write(order.board, store, directory)
    files.write_text(directory / "README.md", _readme(Board(directory, evidence.PublishedEvidence(directory)), target))


def _readme(board: Board, target: hub_upload.Target) -> str:
    """The repository's card: what the hub wants to know at the top, then the table."""
    import yaml

    title = str(board.data.get("title") or board.name)
    head: dict[str, object] = {"title": title, "tags": ["bridgebench", "leaderboard"]}
    if target.kind == "spaces":
        head |= {"sdk": "static", "app_file": "index.html", "pinned": False}
    else:
        head = {"pretty_name": title, "tags": head["tags"]}
        head["configs"] = [{"config_name": "leaderboard", "data_files": "leaderboard.csv"}]
    table = (board.directory / "leaderboard.md").read_text("utf-8")
    check = "`bridgebench leaderboard check DIRECTORY` computes every figure anew from `evidence/`."
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n\n{table}\n{check}\n"


def _write_workflow(destination: Path) -> None:
    from importlib import resources

    text = (resources.files("harness.leaderboard") / "templates" / "pages_workflow.yml").read_text("utf-8")
    files.write_text(destination / ".github" / "workflows" / "pages.yml", text)
