"""Write a whole board to a directory, or nothing: everything is made beside it and put in place by
renaming.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from pathlib import Path

from harness import files
from harness.errors import BridgebenchError, ConfigError
from harness.leaderboard import corpus, fields, figures, groups, pages, tables
from harness.leaderboard.fields import Board, Row

DATA = "data.json"


def build(
    board: Board,
    rows: list[Row],
    samples: dict[str, list[Row]],
    destination: Path,
    *,
    stages: dict[str, list[Row]] | None = None,
    analyses: dict[str, Row] | None = None,
) -> Path:
    """Write ``data.json``, ``leaderboard.csv``, ``leaderboard.md``, ``figures/`` and the site: ``index.html``,
    ``rows/``, ``browse.html``, ``compare.html`` and the texts they load from ``pages/``.

    ``board`` is the board's description (``board``, ``title``, ``benchmark``, ``judge``, ``baseline``,
    ``comparison``, ``notes``, ``calibration``, ``reference_tables``, …), all of which goes into ``data.json``;
    ``rows`` are estimates with descriptions, a failed one with its reason in ``failed``; ``samples`` maps a row to
    what `harness.leaderboard.samples.gather` gives; ``stages`` maps a row to the manifests behind it, a training
    stage's with its ``metrics``; ``analyses`` maps rewards, values and drift to what `harness.analysis.finished.read`
    gives. The same input gives the same bytes. Raises ConfigError for an empty board or a
    repeated row, BridgebenchError if ``destination`` holds something else.
    """
    _check(board, rows, destination)
    complete = [fields.complete(row) for row in rows]
    destination.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(destination)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as temporary:
        fresh = Path(temporary) / "board"
        fresh.mkdir()
        write(board, complete, samples, stages or {}, fresh, analyses or {})
        _put_in_place(fresh, destination)
    return destination


def write(
    board: Board,
    rows: list[Row],
    samples: dict[str, list[Row]],
    stages: dict[str, list[Row]],
    directory: Path,
    analyses: dict[str, Row],
) -> None:
    """The files of a board, into an empty directory."""
    files.write_json(directory / DATA, {**board, "rows": rows})
    files.write_text(directory / "leaderboard.csv", tables.to_csv(board, rows))
    files.write_text(directory / "leaderboard.md", tables.to_markdown(board, rows) + groups.to_markdown(board, rows))
    figures.write(board, rows, directory / "figures", analyses)
    collected = corpus.collect(board, rows, samples)
    corpus.write(collected, board, directory / "pages")
    pages.write(board, rows, collected, stages, directory, analyses)


def _check(board: Board, rows: list[Row], destination: Path) -> None:
    name = board.get("board", "the board")
    if not rows:
        raise ConfigError(f"{name} has no rows, so there is nothing to show.")
    seen = [row["row"] for row in rows]
    repeated = sorted({row for row in seen if seen.count(row) > 1})
    if repeated:
        raise ConfigError(f'{name} has more than one row called "{repeated[0]}".', "give each row its own name")
    if destination.exists() and not (destination / DATA).exists() and any(destination.iterdir()):
        raise BridgebenchError(
            f"{destination} exists and is no board; nothing was overwritten.", "choose another directory"
        )


def _remove_leftovers(destination: Path, age: float = 3600) -> None:
    """Temporary directories of builds that were killed; a younger one may belong to a build that runs now."""
    for path in destination.parent.glob(f".{destination.name}-*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > age:
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(fresh: Path, destination: Path, attempts: int = 20) -> None:
    """Swap ``fresh`` in; another process may be doing the same, then the later one wins."""
    for attempt in range(attempts):
        old = fresh.with_name(f"old-{attempt}")
        try:
            destination.replace(old)
        except FileNotFoundError:
            old = fresh
        try:
            fresh.replace(destination)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                if old != fresh:
                    old.replace(destination)
                raise
    raise BridgebenchError(f"{destination} is being rebuilt by other processes all the time.", "run again later")
