"""A hub on the loopback address: as much of the public protocol as loading and uploading folders of files need."""

from __future__ import annotations

import base64
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
API = re.compile(r"^/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?$")
UPLOAD = re.compile(r"^/api/(models|datasets|spaces)/([^/]+/[^/]+)/(preupload|commit)/([^/]+)$")
RESOLVE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


@contextlib.contextmanager
def loopback_hub(root: Path, received: list[tuple[str, str | None]] | None = None) -> Iterator[str]:
    """Serve ``root/models/org/name``, ``root/datasets/org/name`` and spaces, and take uploads; yields the endpoint.

    ``received`` gets path and authorization of every request that writes.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_POST(self) -> None:
            path = urlsplit(self.path).path
            if path in ("/api/repos/create", "/api/validate-yaml") or UPLOAD.match(path):
                return self.receive(path)
            form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            wanted = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form).get("paths", [])
            match = API.match(urlsplit(self.path).path)
            if match is None or match[3] != "paths-info":
                return self.send(404, b"{}")
            folder = root / match[1] / match[2]
            found = [entry(folder, folder / path) for path in wanted if (folder / path).is_file()]
            return self.send(200, json.dumps(found).encode())

        def receive(self, path: str) -> None:
            """A repository is made, or files are committed to one."""
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.append((path, self.headers.get("Authorization")))
            if path == "/api/validate-yaml":
                return self.send(200, b'{"errors": [], "warnings": []}')
            if path == "/api/repos/create":
                asked = json.loads(data)
                name = f"{asked.get('organization')}/{asked['name']}"
                (root / f"{asked.get('type', 'model')}s" / name).mkdir(parents=True, exist_ok=True)
                return self.send(200, json.dumps({"url": f"{endpoint}/{asked['type']}s/{name}", "name": name}).encode())
            match = UPLOAD.match(path)
            assert match is not None
            if match[3] == "preupload":
                asked = json.loads(data)["files"]
                said = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in asked]
                return self.send(200, json.dumps({"files": said}).encode())
            for line in map(json.loads, data.splitlines()):
                if line["key"] == "file":
                    target = root / match[1] / match[2] / line["value"]["path"]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(base64.b64decode(line["value"]["content"]))
            done = {"success": True, "commitOid": COMMIT, "commitUrl": f"{endpoint}/{match[2]}/commit/{COMMIT}"}
            return self.send(200, json.dumps(done).encode())

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

    received = [] if received is None else received
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
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
