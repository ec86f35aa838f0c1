"""Chat rows → token ids and loss mask as arrays on disk; prompts → rendered token ids.

    rows.jsonl, one row at a time → texts by the chat template → token ids, 256 rows a call → cut at max_length
    → appended to input_ids, loss_mask, turn_ends, offsets and row_ids (.npy) → manifest

Nothing but the rows in hand is in memory, and a finished directory is never tokenised again. Truncation keeps the
head: a sequence longer than ``max_length`` loses its end, and with it its end-of-turn token, which is not put back. A
row that has no response token left is left out and counted, and so is a pair whose sides differ only beyond the cut. A
pair that is the same on both sides before the cut is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainers import events
from trainers.arrays import GrowingArray, text_files
from trainers.data import ARRAYS, ROW_IDS
from trainers.errors import TrainerError
from trainers.output import Run, write_lines
from trainers.render import Example, Renderer
from trainers.rows import Row, conversations, count_rows, in_batches, naming, read_rows
from trainers.spec import Tokenize
from trainers.vocabulary import tokens_digest

PREVIEW_TOKENS = 64
ROWS_A_CALL = 256
NAMED = 100  # ids of left-out rows that the manifest lists


def tokenize(spec: Tokenize) -> None:
    """Run a tokenize spec."""
    run = Run(spec)
    total = count_rows(spec.rows)
    renderer = Renderer(spec.model)
    if spec.format == "prompts":
        _tokenize_prompts(run, total, renderer)
    else:
        _tokenize_training(run, total, renderer)


# prompts


def _tokenize_prompts(run: Run, total: int, renderer: Renderer) -> None:
    seen = Seen()
    write_lines(run.directory / "prompts.jsonl", _prompt_lines(run, renderer, seen))
    summary = {"prompts": total, "tokens": seen.tokens, "longest": seen.longest, "first_prompt": seen.first}
    run.finish(["prompts.jsonl", *_rows_name(run)], summary)


@dataclass
class Seen:
    """What the manifest says of the prompts."""

    tokens: int = 0
    longest: int = 0
    first: str = ""


def preview(tokenizer: Any, token_ids: list[int]) -> str:
    """The decoded text and the ids of a prompt, the middle of a long one left out."""
    if len(token_ids) <= 2 * PREVIEW_TOKENS:
        return f"{tokenizer.decode(token_ids)}\nids: {token_ids}"
    head, tail = token_ids[:PREVIEW_TOKENS], token_ids[-PREVIEW_TOKENS:]
    ids = f"{', '.join(map(str, head))}, … {len(token_ids)} in all …, {', '.join(map(str, tail))}"
    return f"{tokenizer.decode(head)} … {tokenizer.decode(tail)}\nids: [{ids}]"


def _prompt_lines(run: Run, renderer: Renderer, seen: Seen) -> Iterator[str]:
    for row in read_rows(run.spec.rows, "prompts"):
        with naming(row["id"]):
            text = renderer.text(row["messages"], prompt=True)
            ids = renderer.encode(text)
        if len(ids) > run.spec.max_length:
            raise TrainerError(
                f'prompt "{row["id"]}" has {len(ids)} tokens; {run.spec.max_length} fit beside a whole completion.',
                "raise generate.max_model_len or lower generate.max_new_tokens",
            )
        if not seen.tokens:
            seen.first = preview(renderer.tokenizer, ids)
            events.say(f"first prompt, as the model reads it:\n{seen.first}")
        seen.tokens += len(ids)
        seen.longest = max(seen.longest, len(ids))
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        prompt = {"prompt_id": row["id"], "messages": row["messages"], "token_ids": ids, "rendered_sha256": digest}
        yield json.dumps(prompt, ensure_ascii=False) + "\n"


# training data


@dataclass
class Counts:
    """What was kept, cut and left out."""

    sequences: int = 0
    tokens: int = 0
    response_tokens: int = 0
    turns: int = 0
    truncated: int = 0
    dropped_rows: int = 0
    dropped: list[str] = field(default_factory=list)

    def keep(self, examples: list[Example]) -> None:
        """Count a row's sequences."""
        self.sequences += len(examples)
        self.tokens += sum(len(example.token_ids) for example in examples)
        self.response_tokens += sum(sum(example.mask) for example in examples)
        self.turns += sum(sum(example.ends) for example in examples)

    def drop(self, row: str) -> None:
        """Count a row that is left out; the first hundred by name."""
        self.dropped_rows += 1
        if self.dropped_rows <= NAMED:
            self.dropped.append(row)


class Writer:
    """The arrays of tokenised data, appended row by row; they appear under their names when all went well."""

    def __init__(self, directory: Path) -> None:
        self.stack = ExitStack()
        names = [*ARRAYS, *text_files(ROW_IDS)]
        dtypes = [np.int32, np.uint8, np.uint8, np.int64, np.uint8, np.int64]
        self.arrays = [GrowingArray(directory / name, dtype) for name, dtype in zip(names, dtypes, strict=True)]
        for array in self.arrays:
            self.stack.enter_context(array)
        self.arrays[3].append([0])

    def add(self, row: str, examples: list[Example]) -> None:
        """Append a row's sequences and its id."""
        ids, mask, ends, offsets, row_bytes, row_ends = self.arrays
        for example in examples:
            ids.append(example.token_ids)
            mask.append(example.mask)
            ends.append(example.ends)
            offsets.append([ids.length])
        row_bytes.append(row.encode("utf-8", "surrogatepass"))
        row_ends.append([row_bytes.length])

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)  # type: ignore[arg-type]


def _tokenize_training(run: Run, total: int, renderer: Renderer) -> None:
    counts, seen = Counts(), 0
    with Writer(run.directory) as writer:
        for batch in in_batches(read_rows(run.spec.rows, run.spec.format), ROWS_A_CALL):
            for row, examples in zip(batch, _render(batch, renderer, run.spec), strict=True):
                _add(row["id"], examples, writer, counts, run.spec)
                if counts.sequences == len(examples) > 0:
                    _preview(examples[0], renderer)
            seen += len(batch)
            events.progress(seen, total, "row")
        if not counts.sequences:
            raise TrainerError(
                f"none of the {total} rows has a response (a pair: two different ones) within {run.spec.max_length} "
                "tokens.",
                "raise training.max_length",
            )
    _report(run, counts, renderer, total)


def _render(batch: list[Row], renderer: Renderer, spec: Tokenize) -> list[list[Example]]:
    """Each row's examples; the whole batch's texts are encoded in one call."""
    texts: list[list[list[str]]] = []
    for row in batch:
        talks = conversations(row, spec.format)
        with naming(row["id"]):
            texts.append([renderer.texts(messages, every_turn=spec.loss_on == "all") for messages in talks])
    encoded = iter(renderer.encode_all([text for row_texts in texts for talk in row_texts for text in talk]))
    found = []
    for row, row_texts in zip(batch, texts, strict=True):
        with naming(row["id"]):
            found.append([renderer.assemble([next(encoded) for _ in talk]) for talk in row_texts])
    return found


def _add(row: str, examples: list[Example], writer: Writer, counts: Counts, spec: Tokenize) -> None:
    kept = [example.cut(spec.max_length) for example in examples]
    counts.truncated += sum(len(example.token_ids) > spec.max_length for example in examples)
    # nothing predicts a sequence's first token, so it cannot be trained on
    if not all(any(example.mask[1:]) for example in kept):
        counts.drop(row)
        return
    if len(kept) == 2 and kept[0].token_ids == kept[1].token_ids:
        if examples[0].token_ids == examples[1].token_ids:
            raise TrainerError(
                f'row "{row}": chosen and rejected are the same tokens once the chat template has rendered them.',
                "take the row out",
            )
        counts.drop(row)
        return
    writer.add(row, kept)
    counts.keep(kept)


def _preview(example: Example, renderer: Renderer) -> None:
    trained = [token for token, kept in zip(example.token_ids, example.mask, strict=True) if kept]
    decode = renderer.tokenizer.decode
    events.say(
        f"first example, {len(example.token_ids)} tokens:\n{decode(example.token_ids)}\n"
        f"trained on: {decode(trained)!r}\nids: {example.token_ids[:PREVIEW_TOKENS]}\n"
        f"mask: {[int(kept) for kept in example.mask[:PREVIEW_TOKENS]]}"
    )


def _report(run: Run, counts: Counts, renderer: Renderer, total: int) -> None:
    if counts.truncated or counts.dropped_rows:
        events.say(
            f"{counts.truncated} of the sequences were cut at {run.spec.max_length} tokens; {counts.dropped_rows} of "
            f"{total} rows were left without a response or a difference: {', '.join(counts.dropped[:10]) or 'none'}"
        )
    summary = {
        "rows": total,
        "sequences": counts.sequences,
        "tokens": counts.tokens,
        "response_tokens": counts.response_tokens,
        "finished_turns": counts.turns,
        "truncated": counts.truncated,
        "dropped_rows": counts.dropped_rows,
        "dropped": counts.dropped,
        "vocabulary": tokens_digest(renderer.tokenizer),
    }
    run.finish([*ARRAYS, *text_files(ROW_IDS), *_rows_name(run)], summary)


def _rows_name(run: Run) -> list[str]:
    """The source rows, where they lie inside the output directory."""
    return ["rows.jsonl"] if (run.directory / "rows.jsonl").exists() else []
