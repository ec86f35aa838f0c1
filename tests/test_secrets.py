"""A secret planted in every environment variable that is read, a run with all kinds of requests, a search for it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import files, masking, process, provenance, recipe_file
from harness.endpoint.settings import EndpointSettings, Secret
from harness.errors import BridgebenchError, ConfigError
from tests.loopback_hub import loopback_hub
from tests.misbehaving_endpoint import Reply, endpoint, said
from tests.test_external import rows_of
from tests.test_judge_asking import verdict
from tests.test_smoke import ROOT, bridgebench

# lower case, as the endpoint of the tests hands headers back; characters that JSON and addresses write in other ways
SECRETS = {
    "JUDGE_KEY": "sk-planted-judge/+=0123456789",
    "ROW_ACCESS": "sk-planted-row&%/0123456789",  # its name does not say what it is; the recipe does
    "DEAD_TOKEN": "sk-planted-dead/+=0123456789",
    "HF_TOKEN": "hf_planted_hub_0123456789",
    "HUGGING_FACE_HUB_TOKEN": "hf_planted_old_0123456789",
    "VLLM_API_KEY": "sk-planted-vllm-0123456789",
    "OPENAI_API_KEY": "sk-planted-openai-0123456789",
}


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below ``folder``, compressed ones unpacked, and every name."""
    for path in folder.rglob("*"):
        yield f"name of {path}", str(path.relative_to(folder)).encode()
        if path.is_file():
            data = path.read_bytes()
            yield str(path), gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def found_in(name: str, data: bytes) -> list[str]:
    """Places at which a secret stands in ``data``, in any form and any case."""
    lowered = data.lower()
    planted = [form for value in SECRETS.values() for form in masking.forms(value)]
    return [f"{form} in {name}" for form in planted if form.encode().lower() in lowered]


def test_the_search_finds_a_secret_in_every_form(tmp_path: Path) -> None:
    for number, form in enumerate(masking.forms(SECRETS["JUDGE_KEY"])):
        files.write_jsonl(tmp_path / f"{number}.jsonl.gz", [{"text": f"x {form} y"}])
    hits = {place.rpartition(" in ")[2] for name, data in everything(tmp_path) for place in found_in(name, data)}
    assert len(hits) == 4


class Echo:
    """An endpoint that says the key it was given back to whoever asked, as answer, as name and as error."""

    def __init__(self, *, judges: bool = False, refuses: bool = False) -> None:
        self.judges, self.refuses, self.served = judges, refuses, None

    def __call__(self, body: dict[str, Any], attempt: int) -> Reply:
        key = self.served.headers[-1]["authorization"]
        if self.refuses:
            return f"401:your {'x' * 175} {key}"  # the message is cut in the middle of the key
        answer = verdict(body) if self.judges else said("yes")
        return answer | {"text": f"{answer['text']} {key}"}


@pytest.mark.slow
def test_a_planted_secret_is_in_no_file_no_board_and_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    said_by_all: list[bytes] = []

    def call(*arguments: str, check: int | None) -> None:
        done = bridgebench(tmp_path / "results", *arguments, check=check)
        said_by_all.append((done.stdout + done.stderr).encode())

    judge, row, dead = Echo(judges=True), Echo(), Echo(refuses=True)
    hub = tmp_path / "hub"
    hub.mkdir()
    with endpoint(judge) as judge.served, endpoint(row) as row.served, endpoint(dead) as dead.served:
        with loopback_hub(hub) as address:
            monkeypatch.setenv("HF_ENDPOINT", address)
            monkeypatch.setenv("HF_HUB_OFFLINE", "0")
            good = recipe(judge.served.url, row.served.url)
            (tmp_path / "good.yaml").write_text(good)
            (tmp_path / "bad.yaml").write_text(good.replace("name: good", "name: bad") + failing(dead.served.url))
            call("run", str(tmp_path / "bad.yaml"), "--json", check=3)
            call("run", str(tmp_path / "good.yaml"), check=0)
            call("publish", str(tmp_path / "good.yaml"), "--to", str(tmp_path / "published"), check=0)
            call("publish", "bad", "--to", "hub:datasets/lab/board", "--yes", check=0)
            call("reproduce", f"{tmp_path / 'published'}/base", check=0)
        keys = {each.served.headers[0]["authorization"] for each in (judge, row, dead)}
    assert keys == {f"bearer {SECRETS[name]}" for name in ("JUDGE_KEY", "ROW_ACCESS", "DEAD_TOKEN")}
    rows = rows_of(tmp_path / "results", "bad")
    assert "401" in rows["dead"]["failed"]
    assert rows["gone"]["failed"]
    assert rows["answering"]["failed"] is None
    answers = files.read_jsonl(tmp_path / "results" / rows["answering"]["stage_keys"]["generate"] / "completions.jsonl")
    assert {line["text"] for line in answers} == {"yes bearer ***"}
    assert (tmp_path / "published" / "evidence").is_dir()
    assert len(list(everything(tmp_path))) > 100
    told = [*everything(tmp_path), *(("what was printed", each) for each in said_by_all)]
    assert [place for name, data in told for place in found_in(name, data)] == []


def recipe(judge: str, row: str) -> str:
    """The smoke recipe's base beside a row behind an endpoint, judged by another endpoint."""
    return f"""
extends: smoke
name: good
set: ['variants={{}}', 'preference_stages={{none: }}', benchmark.rows=4, generate.max_new_tokens=4]
judge:
  protocol: pairwise
  endpoint: {{base_url: '{judge}', model: judge, api_key_env: JUDGE_KEY}}
externals:
  answering: {{endpoint: {{base_url: '{row}', model: answers, api_key_env: ROW_ACCESS}}}}
"""


def failing(dead: str) -> str:
    """Two more rows: an endpoint that refuses, and a model that the hub does not have."""
    return f"""
  dead: {{endpoint: {{base_url: '{dead}', model: refuses, api_key_env: DEAD_TOKEN, max_attempts: 1}}}}
  gone: {{checkpoint: 'hub:lab/not-there'}}
"""


def test_an_unexpected_fault_shows_no_secret_in_its_traceback(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from harness.endpoint import ChatRequest, Client, EndpointSettings\n"
        "client = Client(EndpointSettings(base_url='http://127.0.0.1:9/v1', model='m', api_key_env='JUDGE_KEY'))\n"
        "asyncio.run(client.ask(ChatRequest([{'role': 'user', 'content': 'x'}], max_tokens=1)))\n"  # never opened
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script],
        env={**os.environ, **SECRETS},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert b"Traceback" in done.stderr
    assert found_in("the traceback", done.stdout + done.stderr) == []


# the parts


def test_children_are_started_without_the_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    EndpointSettings(base_url="https://a.example/v1", model="m", api_key_env="ODDLY_NAMED")
    planted = ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "VLLM_API_KEY", "DB_PASSWORD", "ODDLY_NAMED")
    for name in planted:
        monkeypatch.setenv(name, "sk-planted")
    child = process.start("timeit", ["-n1", "-r1", "import os; print(sorted(os.environ))"], None)
    said, _ = child.communicate()
    assert "TOKENIZERS_PARALLELISM" in said
    assert "PATH" in said
    assert not [name for name in planted if f"'{name}'" in said]


def test_a_secret_is_masked_in_every_form_and_no_ordinary_word_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", 'hf_a"b/c d')
    monkeypatch.setenv("SHORT_KEY", "the")
    for form in masking.forms('hf_a"b/c d'):
        assert masking.mask(f"the {form} end") == "the *** end"
    assert "hf_" not in BridgebenchError('the hub said hf_a"b/c d').show()


def test_an_endpoint_that_echoes_the_key_gets_it_into_no_answer() -> None:
    key = "sk-0123456789/+"
    body = Secret(key).mask_answer(b'{"a": "sk-0123456789/+", "b": "' + "".join(masking.forms(key)).encode() + b'"}')
    assert key.encode() not in body
    assert b"***" in body
    assert Secret("EMPTY").mask_answer(b'"EMPTY"') == b'"EMPTY"'


@pytest.mark.parametrize("address", ["https://a.example/v1?key=sk-secret", "https://a.example/v1#sk-secret"])
def test_a_key_in_an_address_is_refused_without_naming_it(address: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        f"name: r\ntitle: t\nbenchmark: {{source: 'builtin:microtasks'}}\n"
        f"externals: {{a: {{endpoint: {{base_url: '{address}', model: m}}}}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        recipe_file.load(str(path))
    assert "api_key_env" in caught.value.show()
    assert "sk-secret" not in caught.value.show()


def test_a_password_in_an_address_is_refused_without_naming_it(tmp_path: Path) -> None:
    test_a_key_in_an_address_is_refused_without_naming_it("https://me:sk-secret@a.example/v1", tmp_path)


def test_the_command_is_recorded_as_a_shell_takes_it_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_token")
    monkeypatch.setattr("sys.argv", ["x", "run", "a b; rm -rf ~", "--set", "title=hf_planted_token"])
    assert provenance.command() == "bridgebench run 'a b; rm -rf ~' --set 'title=***'"


def test_the_recorded_command_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (["--results", "/home/me/results"], ["--results=/home/me/results"]):
        monkeypatch.setattr("sys.argv", ["x", *folder, "run", "smoke"])
        assert provenance.command() == "bridgebench run smoke"
