"""``bridgebench claims RUN``: find the board, compute the report, write it as JSON, Markdown and a page."""

from __future__ import annotations

from pathlib import Path

from harness import files, recipe_file
from harness.board_evidence import Board, open_board
from harness.claims import agreement, render, report
from harness.claims.registration import FOLDER
from harness.claims.report import Report
from harness.errors import BridgebenchError, ConfigError, did_you_mean
from harness.store import Store

DATA = "data.json"
VALUES = "claims-values.json"


def run(target: str, store: Store, out: Path | None, values: Path | None) -> tuple[Report, Path]:
    """(the report, where it was written) for a recipe that has run, a board's name or a board's directory.

    Without ``out`` the files stand beside the board's page. Raises BridgebenchError.
    """
    directory = locate(target, store)
    if values is not None:
        files.write_json(_kept_values(directory, store), agreement.read(values))
    made = compute(directory, store)
    write(made, files.read_json(directory / DATA), out or directory)
    return made, out or directory


def locate(target: str, store: Store) -> Path:
    """The board that ``target`` means. Raises ConfigError for what is no board and no recipe, or has not run."""
    for directory in (Path(target), store.root / "boards" / target):
        if (directory / DATA).is_file():
            return directory
    boards = [path.parent.name for path in (store.root / "boards").glob(f"*/{DATA}")]
    if target not in recipe_file.shipped() and not target.endswith((".yaml", ".yml")):
        raise ConfigError(
            f'"{target}" is neither a board nor a recipe.{did_you_mean(target, [*boards, *recipe_file.shipped()])}',
            "bridgebench run RECIPE   makes a board; its directory works too",
        )
    directory = store.root / "boards" / recipe_file.load(target).name
    if not (directory / DATA).is_file():
        raise BridgebenchError(f"{target} has no board in {store.root} yet.", f"bridgebench run {target}")
    return directory


def compute(directory: Path, store: Store) -> Report:
    """The report of the board in ``directory``, from its own evidence or from the store."""
    board = open_board(directory, store)
    return report.make(board.data, board.all_verdicts(), _values(board, store))


def write(made: Report, board: dict[str, object], out: Path) -> None:
    """The report in three forms."""
    files.write_json(out / "claims.json", made)
    files.write_text(out / "claims.md", render.markdown(made))
    files.write_text(out / "claims.html", render.page(made, board, has_texts=(out / "browse.html").exists()))


def refresh(directory: Path, store: Store) -> None:
    """Write the report of a board that was just built in ``store``, with the values analysis it was given before."""
    kept = _kept_values(directory, store)
    if kept.exists():
        files.write_json(directory / VALUES, files.read_json(kept))
    write(compute(directory, store), files.read_json(directory / DATA), directory)


def _values(board: Board, store: Store) -> Report | None:
    """The report that was given for this board, else the finished analysis of its checkpoints."""
    for path in (_kept_values(board.directory, store), board.directory / VALUES):
        if path.exists():
            return agreement.read(path)
    return agreement.analysed(board)


def _kept_values(directory: Path, store: Store) -> Path:
    """Beside the store's registrations, so that it outlives rebuilds; in a published board beside its page."""
    if (directory / "evidence").is_dir():
        return directory / VALUES
    return store.root / FOLDER / f"{directory.name}.values.json"
