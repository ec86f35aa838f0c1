"""Chat rows → token ids and loss mask as arrays on disk; prompts → rendered token ids.

The loss covers response tokens and the end-of-turn token, never the prompt.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers import events
from trainers.data import ARRAYS
from trainers.errors import TrainerError
from trainers.output import Run, write_json, write_jsonl
from trainers.spec import Tokenize

PREVIEW_TOKENS = 64


@dataclass
class Example:
    """One sequence: its token ids and, per token, whether it is trained on."""

    token_ids: list[int]
    mask: list[bool]


class Renderer:
    """A tokenizer with a chat template. Raises TrainerError where the template is missing or breaks a rule."""

    def __init__(self, checkpoint: Path) -> None:
        from trainers.checkpoint import load_tokenizer, stop_token_ids

        self.tokenizer = load_tokenizer(checkpoint)
        self.stop_ids = set(stop_token_ids(checkpoint))
        if not self.tokenizer.chat_template:
            raise TrainerError(
                f"the tokenizer in {checkpoint} has no chat template.",
                "put one into chat_template.jinja beside it",
            )

    def text(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        """The template's text; with ``prompt`` it ends where the assistant begins."""
        rendered: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        return rendered

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text; the template has written every special token itself."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise TrainerError("the rendered text begins with two BOS tokens.", "take one out of the chat template")
        return ids

    def continuation(self, text: str, ids: list[int], more: str) -> list[int]:
        """Token ids that ``more`` adds to the rendered ``text``, whose own are ``ids``."""
        whole = self.encode(text + more)
        self._require_prefix(ids, whole)
        return whole[len(ids) :]

    def example(self, messages: list[dict[str, str]], *, every_turn: bool = False) -> Example:
        """Token ids and mask of a conversation that ends with the assistant."""
        turns = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        token_ids: list[int] = []
        mask: list[bool] = []
        for turn in turns if every_turn else turns[-1:]:
            prefix = self.encode(self.text(messages[:turn], prompt=True))
            full = self.encode(self.text(messages[: turn + 1], prompt=False))
            self._require_prefix(prefix, full)
            response = self._until_stop(full[len(prefix) :])
            mask += [False] * (len(prefix) - len(mask)) + [True] * len(response)
            token_ids = prefix + response
        return Example(token_ids, mask)

    def _until_stop(self, response: list[int]) -> list[int]:
        """Up to and with the end-of-turn token; what a template writes after it is not the model's to say."""
        for position, token in enumerate(response):
            if token in self.stop_ids:
                return response[: position + 1]
        return [*response, self.tokenizer.eos_token_id]

    def _require_prefix(self, prefix: list[int], full: list[int]) -> None:
        if full[: len(prefix)] != prefix:
            raise TrainerError(
                "the prompt's tokens are not the beginning of the whole text's.\n"
                f"prompt ends: {self.tokenizer.decode(prefix[-12:])!r}\n"
                f"whole text there: {self.tokenizer.decode(full[max(0, len(prefix) - 12) : len(prefix)])!r}",
                "the chat template must render a conversation and its beginning alike",
            )


@dataclass
class Tokenised:
    """What `tokenize` gathers before it writes."""

    sequences: list[Example] = field(default_factory=list)
    row_ids: list[str] = field(default_factory=list)
    truncated: int = 0
    dropped: list[str] = field(default_factory=list)


def tokenize(spec: Tokenize) -> None:
    """Run a tokenize spec."""
    run = Run(spec)
    rows = _read_rows(spec.rows)
    renderer = Renderer(spec.model)
    if spec.format == "prompts":
        _tokenize_prompts(run, rows, renderer, spec.max_length)
    else:
        _tokenize_training(run, rows, renderer, spec)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise TrainerError(f"the rows {path} cannot be read ({error.strerror}).") from None
    rows = [json.loads(line) for line in lines if line.strip()]
    if not rows:
        raise TrainerError(f"{path} holds no rows.")
    return rows


def _tokenize_prompts(run: Run, rows: list[dict[str, Any]], renderer: Renderer, limit: int) -> None:
    prompts = []
    for row in rows:
        text = renderer.text(row["messages"], prompt=not row.get("complete"))
        ids = renderer.encode(text)
        if len(ids) > limit:
            raise TrainerError(
                f'prompt "{row["id"]}" has {len(ids)} tokens; {limit} fit beside a whole completion.',
                "raise generate.max_model_len or lower generate.max_new_tokens",
            )
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        prompt = {"prompt_id": row["id"], "messages": row["messages"], "token_ids": ids, "rendered_sha256": digest}
        if "temperature" in row:
            prompt["temperature"] = row["temperature"]
        if "continuations" in row:
            prompt["continuation_ids"] = [renderer.continuation(text, ids, each) for each in row["continuations"]]
        prompts.append(prompt)
    write_jsonl(run.directory / "prompts.jsonl", prompts)
    first = preview(renderer.tokenizer, prompts[0]["token_ids"])
    events.say(f"first prompt, as the model reads it:\n{first}")
    lengths = [len(prompt["token_ids"]) for prompt in prompts]
    summary = {"prompts": len(prompts), "tokens": sum(lengths), "longest": max(lengths), "first_prompt": first}
    run.finish(["prompts.jsonl", *_rows_name(run)], summary)


def preview(tokenizer: Any, token_ids: list[int]) -> str:
    """The decoded text and the ids of a prompt, the middle of a long one left out."""
    if len(token_ids) <= 2 * PREVIEW_TOKENS:
        return f"{tokenizer.decode(token_ids)}\nids: {token_ids}"
    head, tail = token_ids[:PREVIEW_TOKENS], token_ids[-PREVIEW_TOKENS:]
    ids = f"{', '.join(map(str, head))}, … {len(token_ids)} in all …, {', '.join(map(str, tail))}"
    return f"{tokenizer.decode(head)} … {tokenizer.decode(tail)}\nids: [{ids}]"


def _tokenize_training(run: Run, rows: list[dict[str, Any]], renderer: Renderer, spec: Tokenize) -> None:
    found = Tokenised()
    for number, row in enumerate(rows):
        conversations = _conversations(row, spec.format)
        examples = [_with_context(row, renderer, turns, spec.loss_on == "all") for turns in conversations]
        found.truncated += sum(len(example.token_ids) > spec.max_length for example in examples)
        cut = [Example(e.token_ids[: spec.max_length], e.mask[: spec.max_length]) for e in examples]
        if not all(any(example.mask) for example in cut):
            found.dropped.append(row["id"])
            continue
        found.sequences += cut
        found.row_ids += [row["id"]] * len(cut)
        if number % 2000 == 1999:
            events.progress(number + 1, len(rows), "row")
    if not found.sequences:
        raise TrainerError(
            f"none of the {len(rows)} rows has a response token within {spec.max_length} tokens.",
            "raise training.max_length",
        )
    _write_arrays(run, found)
    _report(run, found, renderer)


def _with_context(row: dict[str, Any], renderer: Renderer, turns: list[dict[str, str]], every_turn: bool) -> Example:
    try:
        return renderer.example(turns, every_turn=every_turn)
    except TrainerError as error:
        raise TrainerError(f'row "{row["id"]}": {error.message}', error.hint) from None


def _conversations(row: dict[str, Any], form: str) -> list[list[dict[str, str]]]:
    if form == "sft":
        if not row["messages"] or row["messages"][-1]["role"] != "assistant":
            raise TrainerError(f'row "{row["id"]}" does not end with an assistant turn.')
        return [row["messages"]]
    if row["chosen"] == row["rejected"]:
        raise TrainerError(f'row "{row["id"]}": chosen and rejected are the same text.')
    return [[*row["prompt"], {"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")]


def _write_arrays(run: Run, found: Tokenised) -> None:
    lengths = [len(example.token_ids) for example in found.sequences]
    run.directory.mkdir(parents=True, exist_ok=True)
    arrays: tuple[NDArray[Any], ...] = (
        np.concatenate([np.asarray(example.token_ids, dtype=np.int32) for example in found.sequences]),
        np.concatenate([np.asarray(example.mask, dtype=np.uint8) for example in found.sequences]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
    for name, array in zip(ARRAYS, arrays, strict=True):
        np.save(run.directory / name, array)
    write_json(run.directory / "row_ids.json", found.row_ids)


def _report(run: Run, found: Tokenised, renderer: Renderer) -> None:
    first = found.sequences[0]
    trained = [token for token, kept in zip(first.token_ids, first.mask, strict=True) if kept]
    tokenizer = renderer.tokenizer
    events.say(
        f"first example, {len(first.token_ids)} tokens:\n{tokenizer.decode(first.token_ids)}\n"
        f"trained on: {tokenizer.decode(trained)!r}\nids: {first.token_ids[:PREVIEW_TOKENS]}"
    )
    if found.truncated or found.dropped:
        events.say(
            f"{found.truncated} sequences were cut at the length limit; rows left without a response: "
            f"{', '.join(found.dropped[:10]) or 'none'}"
        )
    summary = {
        "sequences": len(found.sequences),
        "tokens": sum(len(example.token_ids) for example in found.sequences),
        "response_tokens": sum(sum(example.mask) for example in found.sequences),
        "truncated": found.truncated,
        "dropped": found.dropped,
    }
    run.finish([*ARRAYS, "row_ids.json", *_rows_name(run)], summary)


def _rows_name(run: Run) -> list[str]:
    """The source rows, where they lie inside the output directory."""
    return ["rows.jsonl"] if (run.directory / "rows.jsonl").exists() else []
