"""Finished stages on an fsspec URL (``s3://``, ``gs://``, ``file://``): pushed when done, pulled when missing here.

Work in flight stays in the local store, which has locks and files that grow; a URL has neither. A stage is there when
its manifest is, so files go first and the manifest last, both ways. Two runs that push one stage write the same bytes
under the same names, apart from the times in the manifest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import BridgebenchError, ConfigError, EnvironmentFault, IntegrityError
from harness.store import FOLDERS, MANIFEST, Store, verify_files


class RemoteStore:
    """A place for finished stages, laid out as the local store: ``<url>/<folder>/<key>/``."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for an unknown protocol, EnvironmentFault where its package is missing."""
        self.url = url
        try:
            import fsspec
        except ImportError:
            raise EnvironmentFault("fsspec is not installed here.", "pip install 'bridgebench[remote]'") from None
        try:
            self.files, self.root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise EnvironmentFault(f"--remote-store {url}: {error}") from None
        except (ValueError, OSError) as error:
            raise ConfigError(
                f"--remote-store {url}: {error}", "e.g. s3://bucket/prefix or file:///shared/stages"
            ) from None

    def require(self) -> None:
        """Raise EnvironmentFault where the URL cannot be asked at all, before a run begins."""
        with self._asked("it cannot be reached"):
            self.files.exists(self.root)

    def has(self, kind: str, key: str) -> bool:
        """Whether the stage is there, whole. Raises EnvironmentFault where the URL cannot be read."""
        with self._asked(f"{kind}/{key} cannot be looked for"):
            return bool(self.files.exists(self._path(kind, key, MANIFEST)))

    def push(self, store: Store, kind: str, key: str) -> None:
        """Copy a finished stage there, unless it is there. Raises EnvironmentFault where that fails; what was copied
        does not count then.
        """
        if self.has(kind, key):
            return
        manifest = store.manifest(kind, key)
        assert manifest is not None  # finished stages only
        with self._asked(f"{kind}/{key} cannot be written"):
            for name in (*manifest["files"], MANIFEST):
                target = self._path(kind, key, name)
                self.files.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
                self.files.put_file(str(store.path(kind, key) / name), target)

    def pull(self, store: Store, kind: str, key: str) -> bool:
        """Copy a stage here, digests checked; False if it is not there. The caller holds its lock.

        Raises IntegrityError for a stage that is not what its manifest says (nothing of it is kept), EnvironmentFault
        where the URL cannot be read.
        """
        if not self.has(kind, key):
            return False
        out = store.path(kind, key)
        arriving = out.with_name(f".{key}.{os.getpid()}.pulled")
        try:
            self._fetch(kind, key, arriving)
            shutil.rmtree(out, ignore_errors=True)  # an unfinished attempt of this machine
            arriving.replace(out)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)
        return True

    def _fetch(self, kind: str, key: str, arriving: Path) -> None:
        name = f"{kind}/{key} at {self.url}"
        with self._asked(f"{kind}/{key} cannot be read"):
            manifest = json.loads(self.files.cat_file(self._path(kind, key, MANIFEST)))
            _require_own(manifest, key, name)
            for relative in (*manifest["files"], MANIFEST):
                target = arriving / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(self._path(kind, key, relative), str(target))
        for problem in verify_files(arriving, manifest, name):
            raise IntegrityError(
                f"{problem.path}: {problem.what}.", f"remove {FOLDERS[kind]}/{key} there; it is made anew"
            )

    def _path(self, kind: str, key: str, name: str) -> str:
        return f"{self.root.rstrip('/')}/{FOLDERS[kind]}/{key}/{name}"

    @contextmanager
    def _asked(self, failure: str) -> Iterator[None]:
        """Turn what a file system raises into an EnvironmentFault: each brings exceptions of its own library."""
        try:
            yield
        except BridgebenchError:
            raise
        except Exception as error:
            why = str(error).strip() or type(error).__name__
            raise EnvironmentFault(f"the remote store {self.url}: {failure} ({why}).") from None


def _require_own(manifest: Any, key: str, name: str) -> None:
    """Raise IntegrityError for another stage's manifest, or one whose files lie outside their directory."""
    if not isinstance(manifest, dict) or manifest.get("key") != key or not isinstance(manifest.get("files"), dict):
        raise IntegrityError(f"{name} has another stage's manifest, or none that can be read.")
    for relative in manifest["files"]:
        path = PurePosixPath(relative)
        if path.is_absolute() or ".." in path.parts or "\\" in relative:
            raise IntegrityError(f"{name}: its manifest names a file outside its directory: {relative}")
