"""Finished chunks of a task on disk, so that a killed run repeats at most the chunk it was in."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers import events
from trainers.output import write_bytes

Arrays = dict[str, NDArray]


class Chunks:
    """``chunks/NNNNN.npz`` below the output directory; each carries the digest of the spec that made it."""

    def __init__(self, directory: Path, digest: str) -> None:
        self.directory, self.digest = directory / "chunks", digest

    def all(self, count: int, compute: Callable[[int], Arrays], unit: str = "chunk") -> list[Arrays]:
        """The arrays of chunks 0 … count-1: read where they are whole and this spec's, computed otherwise."""
        found = []
        for number in range(count):
            arrays = self._read(number)
            if arrays is None:
                arrays = compute(number)
                self._write(number, arrays)
            found.append(arrays)
            events.progress(number + 1, count, unit)
        return found

    def remove(self) -> None:
        """The task is finished: nothing needs the chunks any more."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:05d}.npz"

    def _read(self, number: int) -> Arrays | None:
        try:
            # opened here: of a torn file numpy would leave its own handle open
            with self._path(number).open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop("digest", "")) == self.digest else None

    def _write(self, number: int, arrays: Arrays) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, digest=np.array(self.digest), **arrays)  # type: ignore[arg-type]
        write_bytes(self._path(number), buffer.getvalue())
