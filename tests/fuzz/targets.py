"""What is fuzzed. A target takes any bytes; it may return or raise BridgebenchError, and nothing else.

Each also asserts what must hold of a result: a label is one of the labels, a link leads to the web, a score lies on its
scale. The replay of the corpus in `tests.test_fuzz` needs no fuzzer.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import chat_template, files, recipe_file
from harness.adapters import records, verdict_files
from harness.backends import precomputed
from harness.boards import board_file
from harness.config import Recipe
from harness.endpoint import parse
from harness.errors import BridgebenchError
from harness.judges.question import judged_text
from harness.leaderboard import display, markdown, tables
from harness.protocols import arena_hard, mt_bench, pairwise
from harness.publishing import formats
from harness.score import reading
from harness.score.request import Request

TAGS = frozenset(
    "p blockquote ul ol li em strong s table thead tbody tr th td code pre br hr a h1 h2 h3 h4 h5 h6".split()
)
BENCHMARKS = ("alpaca_eval", "arena_hard", "arena_hard_v2", "mt_bench", "mine")
NONCE = "5eed"
CHAT = [{"role": role, "content": f"{role} says"} for role in ("user", "assistant", "user")]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@contextlib.contextmanager
def written(data: bytes, name: str) -> Iterator[Path]:
    """A file that holds ``data``."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def judge_answers(data: bytes) -> None:
    """Everything that reads what a judge said: bodies of an endpoint, labels, ratings, verdicts between marks."""
    _endpoint_body(data)
    text = data.decode("utf-8", "surrogateescape")
    for rule in (*arena_hard.PARSERS.values(), arena_hard.parse_strict):
        assert rule(text) in (None, *arena_hard.LABELS)
    rating, strict = mt_bench.parse(text), mt_bench.parse_strict(text)
    assert rating is None or rating >= 0
    assert strict is None or mt_bench.LOWEST <= strict <= mt_bench.HIGHEST
    assert pairwise.parse(text, NONCE) in (None, *pairwise.VERDICTS)
    assert judged_text(text) in text


def _endpoint_body(data: bytes) -> None:
    assert isinstance(parse.error_message(data), str)
    try:
        parsed = parse.completion(data)
    except ValueError:
        return  # how the client is told of a malformed body
    parse.shortcoming(parsed, wants_logprobs=True)
    json.dumps([parsed.text, parsed.finish_reason, parsed.model, parsed.logprobs], allow_nan=False)
    assert all(isinstance(said, str | None) for said in (parsed.text, parsed.finish_reason, parsed.model))


def verdicts(data: bytes) -> None:
    """Files of verdicts in all formats, and how ``score`` reads each for every benchmark."""
    with written(data, "verdicts.json") as path:
        for benchmark in BENCHMARKS:
            with contextlib.suppress(BridgebenchError):
                _, models = reading.read(Request(benchmark, [path]))
                for line in (line for lines in models.values() for line in lines):
                    preference = line.get("preference")
                    assert preference is None or 0 <= preference <= 1
        verdict_files.read([path])


def recipe(data: bytes) -> None:
    """A recipe's YAML."""
    with written(data, "recipe.yaml") as path:
        made = recipe_file.load(str(path))
    assert isinstance(made, Recipe)


def site(data: bytes) -> None:
    """A model's text on its way to a page, and a name on its way to a file, a table or LaTeX."""
    text = data.decode("utf-8", "surrogateescape")
    shown, _ = display.model_text(text)
    shown.encode("utf-8")
    for source in (shown, text):
        for node in _nodes(markdown.tree(source)):
            assert node[0] in TAGS
            assert node[0] != "a" or re.match(r"https?://", node[1], re.IGNORECASE)
    stem = display.file_stem(text)
    assert stem not in ("", ".", "..")
    assert not re.search(r"[/\\\x00]", stem)
    assert "\n" not in tables._escape(text)
    formats._escape(text)


def _nodes(nodes: list[Any]) -> Iterator[list[Any]]:
    for node in nodes:
        if isinstance(node, list):
            yield node
            yield from _nodes(node[2:] if node[0] in ("a", "ol") else node[1:])


def board(data: bytes) -> None:
    """A board file's YAML."""
    with written(data, "board.yaml") as path:
        board_file.is_board_file(path)
        board_file.load(path)


def template(data: bytes) -> None:
    """A checkpoint's chat template, in the sandbox."""
    rendered = chat_template.render(data.decode("utf-8", "surrogateescape"), CHAT, SPECIAL)
    assert all(turn["content"] in rendered for turn in CHAT)


def completions(data: bytes) -> None:
    """Stored completions: files of outputs, JSON Lines of the store, records in any wrapping."""
    with written(data, "completions.jsonl") as path:
        for read in (files.read_jsonl, records.read):
            with contextlib.suppress(BridgebenchError):
                for row in read(path):
                    assert isinstance(row, dict)
        for line in precomputed.read(path):
            assert isinstance(line.get("output", line.get("text")), str)
            precomputed._shown(line)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (judge_answers, verdicts, recipe, site, board, template, completions)
}


def run(name: str, data: bytes) -> bool:
    """Give ``data`` to a target; whether it was taken for good. Any exception but BridgebenchError is a finding."""
    try:
        TARGETS[name](data)
    except BridgebenchError as error:
        error.show().encode("utf-8")
        return False
    return True
