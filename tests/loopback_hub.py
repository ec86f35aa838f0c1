"""A hub on the loopback address that serves folders of files: as much of the public protocol as loading needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?$")
RESOLVE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


@contextlib.contextmanager
def loopback_hub(root: Path) -> Iterator[str]:
    """Serve ``root/models/org/name`` and ``root/datasets/org/name``; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            wanted = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form).get("paths", [])
            match = API.match(urlsplit(self.path).path)
            if match is None or match[3] != "paths-info":
                return self.send(404, b"{}")
            folder = root / match[1] / match[2]
            found = [entry(folder, folder / path) for path in wanted if (folder / path).is_file()]
            return self.send(200, json.dumps(found).encode())

        def answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if (match := API.match(path)) is not None and (root / match[1] / match[2]).is_dir():
                return self.send(200, json.dumps(listing(root / match[1] / match[2], match)).encode())
            if (match := RESOLVE.match(path)) is not None:
                file = root / ("datasets" if match[1] else "models") / match[2] / match[4]
                if file.is_file():
                    data = file.read_bytes()
                    tag = hashlib.sha256(data).hexdigest()
                    return self.send(200, data, body, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
            return self.send(
                404, b"{}", body, {"X-Error-Code": "EntryNotFound" if "resolve" in path else "RepoNotFound"}
            )

        def send(self, code: int, data: bytes, body: bool = True, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(folder: Path, match: re.Match[str]) -> Any:
    """A repository's description, or its tree."""
    entries = [entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    if match[3] == "tree":
        below = (match[5] or "").rstrip("/")
        return [each for each in entries if each["path"].startswith(below)]
    return {
        "id": match[2],
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": each["path"]} for each in entries],
    }


def entry(folder: Path, path: Path) -> dict[str, Any]:
    """A file as the tree describes it."""
    oid = hashlib.sha1(path.read_bytes()).hexdigest()
    return {"type": "file", "path": str(path.relative_to(folder)), "size": path.stat().st_size, "oid": oid}
