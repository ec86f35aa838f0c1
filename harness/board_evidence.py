"""What a board's rows were made from, read by name: in a store, or in the ``evidence/`` of a published board.

Names are ``kind/key``. A published board's files are compressed; nothing here writes, and nothing is used as a cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from harness import files
from harness.errors import BridgebenchError, IntegrityError, did_you_mean
from harness.store import MANIFEST, Store, read_manifest, split_name

Line = dict[str, Any]
DATA = "data.json"


class Evidence(Protocol):
    """Manifests and files of finished stages."""

    def manifest(self, name: str) -> dict[str, Any] | None:
        """The stage's manifest, or None if it is not there."""

    def lines(self, name: str, file: str) -> list[Line]:
        """The rows of one of its JSON Lines files. Raises BridgebenchError if it is not there."""

    def content(self, name: str, file: str) -> bytes | None:
        """The bytes of one of its files, uncompressed, or None."""


class StoreEvidence:
    """Stages where they were made."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def manifest(self, name: str) -> dict[str, Any] | None:
        """As the store says."""
        return self.store.manifest(*split_name(name))

    def lines(self, name: str, file: str) -> list[Line]:
        """As the stage wrote them."""
        return _read(self.store.path(*split_name(name)) / file, name, file)

    def content(self, name: str, file: str) -> bytes | None:
        """As the stage wrote it."""
        path = self.store.path(*split_name(name)) / file
        return path.read_bytes() if path.is_file() else None


class PublishedEvidence:
    """Stages as they were copied beside a board."""

    def __init__(self, board: Path) -> None:
        self.directory = board / "evidence"

    def manifest(self, name: str) -> dict[str, Any] | None:
        """The copy, of which `harness.verify` tells whether it is what was made."""
        path = self._place(name) / MANIFEST
        return read_manifest(path) if path.is_file() else None

    def lines(self, name: str, file: str) -> list[Line]:
        """Uncompressed."""
        return _read(self._place(name) / f"{file}.gz", name, file)

    def content(self, name: str, file: str) -> bytes | None:
        """Uncompressed."""
        path = self._place(name) / f"{file}.gz"
        return files.unpacked(path) if path.is_file() else None

    def _place(self, name: str) -> Path:
        return self.directory.joinpath(*split_name(name))


def _read(path: Path, name: str, file: str) -> list[Line]:
    if not path.is_file():
        raise BridgebenchError(f"{name} has no {file} in {path.parent.parent.parent}.", "the row cannot be recomputed")
    return files.read_jsonl(path)


class Board:
    """A board that is there: its description, its rows, and the evidence behind them."""

    def __init__(self, directory: Path, evidence: Evidence) -> None:
        self.directory, self.evidence = directory, evidence
        self.data = read_data(directory / DATA)
        self.rows: dict[str, Line] = {row["row"]: row for row in self.data["rows"]}

    @property
    def name(self) -> str:
        """What it calls itself."""
        return str(self.data.get("board") or self.directory.name)

    @property
    def benchmarks(self) -> list[str]:
        """Their names, the primary one first."""
        return list(self.data.get("benchmarks") or [self.data.get("benchmark")])

    @property
    def primary(self) -> str:
        """The benchmark that decides ranks."""
        return self.benchmarks[0]

    def row(self, name: str) -> Line:
        """The row ``name``. Raises BridgebenchError with the closest name."""
        if name not in self.rows:
            raise BridgebenchError(f'{self.name} has no row "{name}".{did_you_mean(name, self.rows)}')
        return self.rows[name]

    def stage_keys(self, name: str, benchmark: str | None = None) -> dict[str, str]:
        """Kind → ``kind/key`` of a row's stages on a benchmark (default: the primary one)."""
        row = self.row(name)
        other = (row.get("benchmarks") or {}).get(benchmark or self.primary) or {}
        keys = other.get("stage_keys") or row.get("stage_keys") or {}
        return {str(kind): str(name) for kind, name in keys.items()}

    def verdicts(self, name: str, benchmark: str | None = None) -> list[Line]:
        """A row's verdicts. Raises BridgebenchError where it has none."""
        keys = self.stage_keys(name, benchmark)
        if "judge" not in keys:
            why = self.row(name).get("failed") or "not judged"
            raise BridgebenchError(f"{self.name}/{name} has no verdicts: {why}.")
        return self.evidence.lines(keys["judge"], "verdicts.jsonl")

    def all_verdicts(self) -> dict[str, dict[str, list[Line]]]:
        """Benchmark → row → verdicts of every finished row, the primary benchmark first. Raises BridgebenchError."""
        judged = [name for name, row in self.rows.items() if row.get("failed") is None]
        return {
            benchmark: {name: self.verdicts(name, benchmark) for name in judged if self._judged(name, benchmark)}
            for benchmark in self.benchmarks
        }

    def _judged(self, name: str, benchmark: str) -> bool:
        return "judge" in self.stage_keys(name, benchmark)


def read_data(path: Path) -> dict[str, Any]:
    """A board's ``data.json``: an object with rows that have names. Raises IntegrityError for anything else."""
    found = files.read_json(path)
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_name(row.get("row")) for row in rows):
        raise IntegrityError(f"{path} is damaged: its rows are not a list of rows with names.")
    return dict(found)


def _is_name(name: Any) -> bool:
    """Names of rows become names of files when they are exported, and lines of scripts."""
    return isinstance(name, str) and name.isprintable() and name not in ("", ".", "..") and not {*"/\\"} & {*name}


def open_board(directory: Path, store: Store) -> Board:
    """The board in ``directory``, with its own evidence where it has some, else with the store's."""
    own = (directory / "evidence").is_dir()
    return Board(directory, PublishedEvidence(directory) if own else StoreEvidence(store))


def published_folder() -> Path:
    """Where a checkout keeps its published boards."""
    return Path("leaderboards")


def locate(name: str, store: Store) -> Path | None:
    """The directory of a board: the one named, one that this store built, or a published one."""
    places = (Path(name), store.root / "boards" / name, published_folder() / name)
    return next((path for path in places if (path / DATA).is_file()), None)


def board(name: str, store: Store) -> Board:
    """A board by directory, or by name. Raises BridgebenchError naming what there is."""
    path = locate(name, store)
    if path is not None:
        return open_board(path, store)
    folders = (store.root / "boards", published_folder())
    known = sorted({each.parent.name for folder in folders for each in folder.glob(f"*/{DATA}")})
    raise BridgebenchError(
        f'there is no board "{name}".{did_you_mean(name, known)}',
        f"boards: {', '.join(known) or 'none yet'}; a directory with a {DATA} works too",
    )


def row(name: str, store: Store) -> tuple[Board, str]:
    """The board and row that ``BOARD/ROW`` names (a board's directory works too). Raises BridgebenchError."""
    where, slash, which = name.rpartition("/")
    if not slash:
        raise BridgebenchError(f'"{name}" names no row.', "a row is BOARD/ROW, e.g. quickstart/sft")
    found = board(where, store)
    found.row(which)
    return found, which
