"""Files of records in whatever wrapping they come: JSON array, JSON Lines, Parquet, each also gzipped."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, EnvironmentFault

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The records of a file, told apart by its content, not its name. Raises ConfigError naming file and item.

    A last line that a killed writer left incomplete is dropped, as everywhere else.
    """
    data = _unpacked(path)
    if data[:4] == b"PAR1":
        return _parquet(data, path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text in UTF-8, nor Parquet ({error}).") from None
    stripped = text.lstrip()
    if not stripped:
        raise ConfigError(f"{path} is empty.")
    return _array(stripped, path) if stripped[0] == "[" else _lines(text, path)


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path} cannot be unpacked ({error}).", "it may be cut off; fetch it again") from None


def _parquet(data: bytes, path: Path) -> list[Record]:
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except ImportError as error:
        raise EnvironmentFault(f"{path} is Parquet, and no reader is installed.", "pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not readable as Parquet ({error}).") from None
    if frame.empty:
        raise ConfigError(f"{path} has no rows.")
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _array(text: str, path: Path) -> list[Record]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON ({error}).") from None
    if not found:
        raise ConfigError(f"{path} holds an empty list.")
    for number, record in enumerate(found, 1):
        if not isinstance(record, dict):
            raise ConfigError(f"{path}, item {number}: not an object but {type(record).__name__}.")
    return list(found)


def _lines(text: str, path: Path) -> list[Record]:
    found: list[Record] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines) and found:
                break  # no newline after it: its writer was killed
            raise ConfigError(f"{path}, item {number}: not valid JSON ({error}).") from None
        if not isinstance(record, dict):
            raise ConfigError(f"{path}, item {number}: not an object but {type(record).__name__}.")
        found.append(record)
    return found
