from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers.conftest import preference_rows, sft_rows, write_rows
from trainers.checkpoint import load_tokenizer
from trainers.data import TokenData, epoch_order
from trainers.errors import TrainerError
from trainers.render import Renderer


def decoded(checkpoint: Path, data: Path, *, trained: bool) -> list[str]:
    """Text of each sequence, or of the part of it that is trained on."""
    tokenizer, tokens = load_tokenizer(checkpoint), TokenData(data)
    texts = []
    for sequence in range(tokens.sequences):
        span = slice(int(tokens.offsets[sequence]), int(tokens.offsets[sequence + 1]))
        ids = tokens.input_ids[span]
        texts.append(tokenizer.decode(ids[tokens.loss_mask[span] == 1] if trained else ids))
    return texts


def test_exactly_the_response_and_its_end_of_turn_token_are_trained_on(tiny_checkpoint: Path, sft_data: Path) -> None:
    answers = [row["messages"][-1]["content"] for row in sft_rows()]
    assert decoded(tiny_checkpoint, sft_data, trained=True) == [f"{answer}<|im_end|>" for answer in answers]


def test_the_end_of_turn_token_is_trained_on_although_it_is_the_padding_token_too(
    tiny_checkpoint: Path,
) -> None:
    renderer = Renderer(tiny_checkpoint)
    assert renderer.tokenizer.pad_token_id == renderer.tokenizer.eos_token_id
    example = renderer.example(sft_rows()[0]["messages"])
    assert example.token_ids[-1] == renderer.tokenizer.eos_token_id
    assert example.mask[-1]


def test_preference_sequences_alternate_chosen_and_rejected(tiny_checkpoint: Path, preference_data: Path) -> None:
    texts = decoded(tiny_checkpoint, preference_data, trained=True)
    expected = [f"{row[side]}<|im_end|>" for row in preference_rows() for side in ("chosen", "rejected")]
    assert texts == expected


def test_with_every_turn_the_loss_covers_each_answer_and_no_question(tiny_checkpoint: Path) -> None:
    turns = [("user", "a?"), ("assistant", "one"), ("user", "b?"), ("assistant", "two")]
    messages = [{"role": role, "content": content} for role, content in turns]
    renderer = Renderer(tiny_checkpoint)
    example = renderer.example(messages, every_turn=True)
    trained = [token for token, kept in zip(example.token_ids, example.mask, strict=True) if kept]
    assert renderer.tokenizer.decode(trained) == "one<|im_end|>two<|im_end|>"
    last = renderer.example(messages)
    assert last.token_ids == example.token_ids
    assert sum(last.mask) == len("two") + 1


def test_a_system_turn_is_rendered_and_not_trained_on(tiny_checkpoint: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *sft_rows()[0]["messages"]]
    renderer = Renderer(tiny_checkpoint)
    example = renderer.example(messages)
    assert renderer.tokenizer.decode(example.token_ids).startswith("<|im_start|>system\nBe brief.")
    assert not any(example.mask[: len("<|im_start|>system\nBe brief.") - 11])


def test_truncation_keeps_the_head_counts_and_drops_rows_without_a_response(
    tiny_checkpoint: Path, tmp_path: Path, run_spec: Any
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", sft_rows())
    spec = {
        "kind": "tokenize",
        "format": "sft",
        "model": str(tiny_checkpoint),
        "rows": str(rows),
        "max_length": 60,
    }
    out = run_spec(tmp_path / "out", **spec)
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    assert summary["dropped"] == ["row-3"]
    assert summary["truncated"] == 2
    data = TokenData(out)
    assert max(data.length(sequence) for sequence in range(data.sequences)) == 60


def test_a_limit_that_leaves_no_response_at_all_is_an_error(
    tiny_checkpoint: Path, tmp_path: Path, run_spec: Any
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", sft_rows())
    with pytest.raises(TrainerError, match="none of the 8 rows"):
        run_spec(
            tmp_path / "out",
            kind="tokenize",
            format="sft",
            model=str(tiny_checkpoint),
            rows=str(rows),
            max_length=4,
        )
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_equal_chosen_and_rejected_are_refused_by_row(tiny_checkpoint: Path, tmp_path: Path, run_spec: Any) -> None:
    bad = preference_rows()
    bad[2]["rejected"] = bad[2]["chosen"]
    rows = write_rows(tmp_path / "rows.jsonl", bad)
    with pytest.raises(TrainerError, match='"pair-2": chosen and rejected are the same'):
        run_spec(tmp_path / "out", kind="tokenize", format="preference", model=str(tiny_checkpoint), rows=str(rows))


def test_a_prompt_that_leaves_no_room_names_itself_and_the_setting(
    tiny_checkpoint: Path, tmp_path: Path, run_spec: Any
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"id": "long", "messages": [{"role": "user", "content": "x" * 50}]}])
    with pytest.raises(TrainerError, match='prompt "long" has') as caught:
        run_spec(
            tmp_path / "out",
            kind="tokenize",
            format="prompts",
            model=str(tiny_checkpoint),
            rows=str(rows),
            max_length=40,
        )
    assert "max_new_tokens" in caught.value.hint


def test_prompts_end_where_the_assistant_begins(tiny_checkpoint: Path, tmp_path: Path, run_spec: Any) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"id": "p", "messages": [{"role": "user", "content": "hé?"}]}])
    out = run_spec(tmp_path / "out", kind="tokenize", format="prompts", model=str(tiny_checkpoint), rows=str(rows))
    (prompt,) = [json.loads(line) for line in (out / "prompts.jsonl").read_text().splitlines()]
    text = load_tokenizer(tiny_checkpoint).decode(prompt["token_ids"])
    assert text == "<|im_start|>user\nhé?<|im_end|>\n<|im_start|>assistant\n"


def template_copy(checkpoint: Path, folder: Path, template: str) -> Path:
    """The tiny checkpoint with another chat template."""
    import shutil

    shutil.copytree(checkpoint, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_a_template_that_renders_the_beginning_differently_is_refused_with_both_sides(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    template = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    renderer = Renderer(template_copy(tiny_checkpoint, tmp_path / "m", template))
    with pytest.raises(TrainerError, match="not the beginning") as caught:
        renderer.example(sft_rows()[0]["messages"])
    assert "prompt ends" in caught.value.message


def test_a_response_without_an_end_of_turn_token_gets_one(tiny_checkpoint: Path, tmp_path: Path) -> None:
    turns = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    template = turns + "{% if add_generation_prompt %}[assistant]{% endif %}"
    renderer = Renderer(template_copy(tiny_checkpoint, tmp_path / "m", template))
    example = renderer.example(sft_rows()[0]["messages"])
    assert example.token_ids[-1] == renderer.tokenizer.eos_token_id
    assert example.mask[-1]


def test_two_bos_tokens_are_an_error(tiny_checkpoint: Path) -> None:
    renderer = Renderer(tiny_checkpoint)
    renderer.tokenizer.bos_token = "<|im_start|>"
    with pytest.raises(TrainerError, match="two BOS"):
        renderer.encode("<|im_start|><|im_start|>user")


def test_microbatches_cover_every_example_once_within_the_budget(sft_data: Path) -> None:
    data = TokenData(sft_data)
    batches = list(data.microbatches([5, 1, 7, 2, 0], 120))
    assert sorted(row for batch in batches for row in batch.rows) == [0, 1, 2, 5, 7]
    assert len(batches) > 1
    for batch in batches:
        assert len(batch.rows) == 1 or sum(data.length(row) for row in batch.rows) <= 120


def test_the_epoch_order_is_a_permutation_that_seed_and_epoch_fix() -> None:
    first = epoch_order(100, seed=1, epoch=0)
    assert sorted(first) == list(range(100))
    assert first == epoch_order(100, seed=1, epoch=0)
    assert first != epoch_order(100, seed=1, epoch=1)
    assert first != epoch_order(100, seed=2, epoch=0)


def test_arrays_are_memory_mapped(sft_data: Path) -> None:
    assert isinstance(TokenData(sft_data).input_ids, np.memmap)
