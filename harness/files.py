"""Reading and writing files whole: temporary name then rename, JSON Lines with torn tails dropped, digests."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import IntegrityError

DAMAGED_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces, no NaN. Raises ValueError for NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never half of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text in UTF-8."""
    write_bytes(path, text.encode("utf-8", "surrogatepass"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line; a path that ends in ``.gz`` is compressed, the same bytes for the same rows."""
    if path.suffix != ".gz":
        write_jsonl_stream(path, rows)
        return
    lines = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_bytes(path, gzip.compress(lines.encode("utf-8", "surrogatepass"), 9, mtime=0))


def write_jsonl_stream(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """`write_jsonl` without holding the rows: the same bytes, the file there only when all rows are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as handle:
            for row in rows:
                handle.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_tree(source: Path, target: Path) -> None:
    """`shutil.copytree` of a directory without links. Raises IntegrityError for a link, which could lead anywhere."""
    links = sorted(path for path in source.rglob("*") if path.is_symlink())
    if links:
        raise IntegrityError(f"{links[0]} is a link, and what it leads to is not copied.", "put the file itself there")
    shutil.copytree(source, target)


def read_json(path: Path) -> Any:
    """Parse a JSON file; raises IntegrityError naming the file if it is not JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is not valid JSON ({error}).", "remove it and run again") from error


def unpacked(path: Path) -> bytes:
    """The content of a gzip file. Raises IntegrityError for a damaged one."""
    try:
        return gzip.decompress(path.read_bytes())
    except DAMAGED_GZIP as error:
        raise IntegrityError(
            f"{path} cannot be unpacked ({error}).", "restore it, or publish the board again"
        ) from None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All rows of a JSON Lines file (``.gz`` too). A torn last line is dropped; any other bad line raises
    IntegrityError.
    """
    return list(iterate_jsonl(path))


def iterate_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """`read_jsonl`, one row at a time."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as handle:
            for number, line in enumerate(handle, 1):
                if not line.endswith(b"\n"):
                    return  # the writer was killed in the middle of this line
                yield _object(line, f"{path}, line {number}")
    except DAMAGED_GZIP as error:
        raise IntegrityError(
            f"{path} cannot be unpacked ({error}).", "restore it, or publish the board again"
        ) from None


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where}: not valid JSON ({error}).") from error
    if not isinstance(row, dict):
        raise IntegrityError(f"{where}: not an object but {type(row).__name__}.")
    return row
