"""Arrays on disk that grow while they are written: a .npy file whose header is corrected at the end, and texts beside
each other in one such file. Read back memory-mapped, so neither side holds a data set in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

BLOCK = 1 << 13  # elements that wait in memory


class GrowingArray:
    """One-dimensional .npy file of unknown length; there under its name only when closed without an error."""

    def __init__(self, path: Path, dtype: Any) -> None:
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        self.temporary = path.with_name(f".{path.name}.tmp")  # one name: the next try overwrites a killed one's
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.temporary.open("wb")
        self._write_header()
        self.begin = self.file.tell()
        self.pending: list[int] = []

    def append(self, values: Iterable[int]) -> None:
        """Add ``values`` at the end; they go to the file a block at a time."""
        before = len(self.pending)
        self.pending.extend(values)
        self.length += len(self.pending) - before
        if len(self.pending) >= BLOCK:
            self._flush()

    def _flush(self) -> None:
        self.file.write(np.asarray(self.pending, dtype=self.dtype).tobytes())
        self.pending.clear()

    def _write_header(self) -> None:
        # numpy leaves room in the header for a longer first dimension, so that it can be rewritten in place
        header = {"shape": (self.length,), "fortran_order": False, "descr": npy.dtype_to_descr(self.dtype)}
        npy.write_array_header_1_0(self.file, header)

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self.file.close()
            if kind is not None:
                self.temporary.unlink(missing_ok=True)
        if kind is None:
            self.temporary.replace(self.path)

    def _finish(self) -> None:
        self._flush()
        self.file.seek(0)
        self._write_header()
        if self.file.tell() != self.begin:
            raise RuntimeError(f"the header of {self.path} outgrew its room")
        self.file.flush()
        os.fsync(self.file.fileno())


class Texts(Sequence[str]):
    """Texts stored as UTF-8 bytes in ``NAME.npy`` with their ends in ``NAME_ends.npy``; decoded when asked for."""

    def __init__(self, directory: Path, name: str) -> None:
        self.bytes, self.ends = (
            np.load(directory / file, mmap_mode="r", allow_pickle=False) for file in text_files(name)
        )

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        begin = int(self.ends[index - 1]) if index else 0
        return bytes(self.bytes[begin : int(self.ends[index])]).decode("utf-8", "surrogatepass")


def text_files(name: str) -> tuple[str, str]:
    """The two files that `Texts` reads."""
    return f"{name}.npy", f"{name}_ends.npy"


def digest_parts(arrays: Iterable[NDArray[Any]], step: int = 1 << 22) -> Iterator[bytes]:
    """The arrays' bytes in blocks, for a digest."""
    for array in arrays:
        yield f"{array.dtype}{array.shape}".encode()
        for begin in range(0, len(array), step):
            yield np.ascontiguousarray(array[begin : begin + step]).tobytes()
