"""From rows to arrays: streaming, templates that break a rule, truncation, and input that is refused by name."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers.conftest import multi_turn_rows, preference_rows, sft_rows, write_rows
from trainers import arrays
from trainers import tokenize as tokenize_module
from trainers.arrays import GrowingArray, Texts
from trainers.checkpoint import load_tokenizer
from trainers.data import ARRAYS, TokenData
from trainers.errors import TrainerError
from trainers.render import Renderer

Go = Callable[..., Path]
TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.fixture
def go(tiny_checkpoint: Path, tmp_path: Path, run_spec: Any) -> Go:
    """Tokenise rows, with another chat template if one is given."""

    def run(rows: list[dict[str, Any]], form: str = "sft", template: str | None = None, **more: Any) -> Path:
        model = tiny_checkpoint
        if template is not None:
            model = shutil.copytree(tiny_checkpoint, tmp_path / f"model-{abs(hash(template))}")
            (model / "chat_template.jinja").write_text(template)
        path = write_rows(tmp_path / "rows.jsonl", rows)
        out: Path = run_spec(
            tmp_path / f"out-{form}", kind="tokenize", format=form, model=str(model), rows=str(path), **more
        )
        return out

    return run


def talk(*turns: tuple[str, str], row: str = "r1") -> dict[str, Any]:
    return {"id": row, "messages": [{"role": role, "content": content} for role, content in turns]}


def sequences(out: Path) -> list[tuple[list[int], list[int], list[int]]]:
    """(token ids, mask, turn ends) of each sequence."""
    data = TokenData(out)
    spans = [slice(int(data.offsets[s]), int(data.offsets[s + 1])) for s in range(data.sequences)]
    return [(data.input_ids[s].tolist(), data.loss_mask[s].tolist(), data.turn_ends[s].tolist()) for s in spans]


# streaming


def test_arrays_that_grow_equal_arrays_saved_at_once(tmp_path: Path) -> None:
    parts = [np.arange(n, dtype=np.int32) for n in (0, 3, 100_000, 1)]
    with GrowingArray(tmp_path / "a.npy", np.int32) as array:
        for part in parts:
            array.append(part)
        assert not (tmp_path / "a.npy").exists()
    loaded = np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
    assert loaded.dtype == np.int32
    assert np.array_equal(loaded, np.concatenate(parts))


def test_an_array_that_failed_half_way_is_not_there(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def write() -> None:
        with GrowingArray(tmp_path / "a.npy", np.int32) as array:
            array.append([1])
            raise Stopped

    with pytest.raises(Stopped):
        write()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_rows(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK", 256)  # few rows fill the buffers

    def peak(rows: int) -> int:
        many = [row | {"id": f"{row['id']}-{copy}"} for copy in range(rows // 8) for row in sft_rows()]
        tracemalloc.start()
        try:
            out = go(many)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            shutil.rmtree(out)

    peak(64)  # what is loaded once
    few, many = peak(256), peak(1024)
    assert many - few < 768 * 60  # a byte a token would be more, and a list holds a pointer of eight


def test_how_many_rows_go_into_one_call_changes_no_byte(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for size in (1, 3, 256):
        monkeypatch.setattr(tokenize_module, "ROWS_A_CALL", size)
        out = go(multi_turn_rows(), loss_on="all")
        written.append([(out / name).read_bytes() for name in (*ARRAYS, "row_ids.npy", "row_ids_ends.npy")])
        shutil.rmtree(out)
    assert written[0] == written[1] == written[2]


def test_texts_are_encoded_as_transformers_does_even_if_the_tokenizer_file_asks_for_truncation(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    renderer = Renderer(model)
    texts = ["<|im_start|>user\nhé 行 🙂 <|im_end|>", "", " a  b ", "x" * 3000]
    plain = load_tokenizer(tiny_checkpoint)
    expected = [plain(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert renderer.encode_all(texts) == expected
    renderer.fast = None  # the way of a tokenizer that is not a fast one
    assert renderer.encode_all(texts) == expected


def test_rows_are_read_one_batch_at_a_time(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = tokenize_module._render
    monkeypatch.setattr(tokenize_module, "ROWS_A_CALL", 3)
    monkeypatch.setattr(tokenize_module, "_render", lambda batch, *a: (seen.append(len(batch)), original(batch, *a))[1])
    go(sft_rows())
    assert seen == [3, 3, 2]


def test_row_ids_of_any_script_come_back_by_sequence(go: Go) -> None:
    names = ["ü", "a b", "行", "x" * 300]
    rows = [row | {"id": name} for row, name in zip(preference_rows(), names, strict=False)]
    data = TokenData(go(rows, "preference"), group=2)
    assert [data.row_id(s) for s in range(data.sequences)] == [name for name in names for _ in "12"]
    assert Texts(data.directory, "row_ids")[:] == names


def test_the_manifest_counts_rows_tokens_cuts_and_rows_left_out(go: Go) -> None:
    out = go(sft_rows(), max_length=60)
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    found = sequences(out)
    assert summary["rows"] == 8
    assert summary["sequences"] == len(found) == 7
    assert summary["tokens"] == sum(len(ids) for ids, _, _ in found)
    assert summary["response_tokens"] == sum(sum(mask) for _, mask, _ in found)
    assert summary["finished_turns"] == sum(sum(ends) for _, _, ends in found)
    assert (summary["truncated"], summary["dropped_rows"], summary["dropped"]) == (2, 1, ["row-3"])


# templates and turns


def test_a_template_that_refuses_system_turns_is_told_with_its_words_and_the_row(go: Go) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    good, bad = talk(("user", "q"), ("assistant", "a")), talk(("system", "s"), ("user", "q"), ("assistant", "a"))
    assert len(sequences(go([good], template=template + TURNS + PROMPT))) == 1
    with pytest.raises(TrainerError, match=r'row "bad": .*System role not supported.*roles: system, user') as caught:
        go([good, bad | {"id": "bad"}], template=template + TURNS + PROMPT + " ")
    assert "first user turn" in caught.value.hint


def test_a_template_that_drops_the_system_turn_in_silence_is_refused(go: Go) -> None:
    template = TURNS.replace("messages %}", "messages if m['role'] != 'system' %}") + PROMPT
    with pytest.raises(TrainerError, match='row "r1": the chat template leaves the system turn out'):
        go([talk(("system", "Be brief."), ("user", "q"), ("assistant", "a"))], template=template)


def test_a_template_that_rewrites_earlier_turns_is_caught_when_they_are_trained_on(go: Go) -> None:
    # as reasoning models' templates do: an earlier answer loses what stands before </think>
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if loop.last %}{{ m['content'] }}{% else %}{{ m['content'].split('</think>')[-1] }}{% endif %}"
        "<|im_end|>\n{% endfor %}" + PROMPT
    )
    rows = [talk(("user", "q"), ("assistant", "hm</think>one"), ("user", "q"), ("assistant", "ha</think>two"))]
    with pytest.raises(TrainerError, match=r'row "r1": .*earlier assistant turn.*not the beginning') as caught:
        go(rows, template=template, loss_on="all")
    assert "loss_on: last" in caught.value.hint
    (found,) = sequences(go(rows, template=template + "{# again #}", loss_on="last"))
    assert sum(found[1]) == len("ha</think>two") + 1


def test_turns_without_an_end_token_of_their_own_cannot_all_be_trained_on(go: Go) -> None:
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    template += "{% if add_generation_prompt %}[assistant]{% endif %}"
    rows = [talk(("user", "q"), ("assistant", "one"), ("user", "q"), ("assistant", "two"))]
    with pytest.raises(TrainerError, match="earlier assistant turn"):
        go(rows, template=template, loss_on="all")
    (found,) = sequences(go(rows, template=template + "{# again #}"))
    assert found[2][-1] == 1  # the last one gets the end that the engine will look for


def test_each_finished_turn_is_marked_and_with_loss_on_the_last_only_that_one(go: Go) -> None:
    rows = [talk(("user", "q"), ("assistant", "one"), ("user", "q"), ("assistant", "three"))]
    (every,) = sequences(go(rows, loss_on="all"))
    assert sum(every[2]) == 2
    assert sum(every[1]) == len("one") + len("three") + 2
    shutil.rmtree(go(rows))
    (last,) = sequences(go(rows))
    assert last[0] == every[0]
    assert (sum(last[1]), sum(last[2])) == (len("three") + 1, 1)


def test_a_truncated_response_gets_no_end_of_turn_token(go: Go) -> None:
    (whole,) = sequences(out := go([talk(("user", "q"), ("assistant", "a long answer"))]))
    shutil.rmtree(out)
    (cut,) = sequences(go([talk(("user", "q"), ("assistant", "a long answer"))], max_length=len(whole[0]) - 3))
    assert cut[0] == whole[0][:-3]
    assert cut[1][-1] == 1
    assert whole[2][-1] == 1
    assert sum(cut[2]) == 0


# refused by name


@pytest.mark.parametrize(
    ("rows", "form", "said"),
    [
        ([talk(("user", "q"))], "sft", 'row "r1" has no assistant turn'),
        ([talk(("assistant", "a"), ("user", "q"))], "sft", 'row "r1" does not end with an assistant turn'),
        ([{"id": "r1", "text": "x"}], "sft", 'row "r1" has no "messages"'),
        ([{"text": "x"}], "sft", 'row "line 1" has no "messages"'),
        ([{"id": "r1", "messages": "hello"}], "sft", 'row "r1": "messages" is not a list of turns'),
        ([{"id": "r1", "messages": []}], "sft", "not a list of turns"),
        ([talk(("user", "\ud800"), ("assistant", "a"))], "sft", "not a list of turns"),
        ([{"id": "p", "prompt": [{"role": "user", "content": "q"}], "chosen": "a"}], "preference", 'no "rejected"'),
        ([preference_rows()[0] | {"rejected": None}], "preference", '"pair-0": chosen and rejected must be texts'),
        ([preference_rows()[0] | {"rejected": "hi there"}], "preference", '"pair-0": chosen and rejected are the same'),
    ],
)
def test_a_row_that_cannot_be_trained_on_is_refused_by_name(
    go: Go, rows: list[dict[str, Any]], form: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(TrainerError, match=said):
        go(rows, form)
    assert not list(tmp_path.glob("out-*/*"))


def test_a_pair_that_the_template_makes_the_same_is_refused_by_name(go: Go) -> None:
    row = preference_rows()[0] | {"rejected": preference_rows()[0]["chosen"] + "  "}
    trimming = TURNS.replace("m['content']", "m['content'] | trim") + PROMPT
    with pytest.raises(TrainerError, match='"pair-0": chosen and rejected are the same tokens once the chat template'):
        go([row], "preference", template=trimming)


def test_a_pair_that_truncation_makes_the_same_is_left_out_and_counted(go: Go) -> None:
    row = preference_rows()[0] | {"chosen": "the same beginning, one end", "rejected": "the same beginning, no end"}
    none_left = r"none of the 1 rows has a response \(a pair: two different ones\)"
    with pytest.raises(TrainerError, match=none_left) as caught:
        go([row], "preference", max_length=40)
    assert "max_length" in caught.value.hint
    out = go([row, preference_rows()[4]], "preference", max_length=40)
    summary = json.loads((out / "manifest.json").read_text())["summary"]
    assert (summary["dropped"], summary["sequences"]) == (["pair-0"], 2)


def test_a_line_that_is_not_json_is_refused_by_number(
    go: Go, tmp_path: Path, tiny_checkpoint: Path, run_spec: Any
) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(json.dumps(sft_rows()[0]).encode() + b'\n\n{"id": "x", "mess')
    with pytest.raises(TrainerError, match="line 3: not valid JSON"):
        run_spec(tmp_path / "o", kind="tokenize", format="sft", model=str(tiny_checkpoint), rows=str(path))
    path.write_bytes(b"\n \n")
    with pytest.raises(TrainerError, match="holds no rows"):
        run_spec(tmp_path / "o", kind="tokenize", format="sft", model=str(tiny_checkpoint), rows=str(path))


# what belongs together


def train(model: Path, data: Path, reference: Path | None, output: Path) -> dict[str, Any]:
    return {
        "kind": "train", "model": str(model), "data": str(data), "output": str(output), "learning_rate": 1e-3,
        "reference": str(reference) if reference else None,
        "objective": {"name": "f_sft", "divergence": "pearson_chi2"} if reference else {"name": "sft"},
    }  # fmt: skip


def other_vocabulary(checkpoint: Path, target: Path) -> Path:
    """The checkpoint with two tokens' ids exchanged: the same size, another meaning."""
    shutil.copytree(checkpoint, target)
    path = target / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    path.write_text(json.dumps(tokenizer))
    return target


def test_data_and_references_of_another_vocabulary_are_refused(
    tiny_checkpoint: Path, sft_data: Path, references: dict[str, Path], tmp_path: Path, run_spec: Any
) -> None:
    other = other_vocabulary(tiny_checkpoint, tmp_path / "other")
    with pytest.raises(TrainerError, match="was tokenised with another vocabulary"):
        run_spec(**train(other, sft_data, None, tmp_path / "out"))
    with pytest.raises(TrainerError, match="was tokenised with another vocabulary"):
        run_spec(tmp_path / "r", kind="reference", model=str(other), data=str(sft_data))
    tampered = shutil.copytree(references["sft"], tmp_path / "reference")
    manifest = json.loads((tampered / "manifest.json").read_text())
    manifest["summary"]["vocabulary"]["size"] += 64  # as of a base whose head has more rows
    (tampered / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TrainerError, match="another vocabulary than the model"):
        run_spec(**train(tiny_checkpoint, sft_data, tampered, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_reference_of_the_same_tokens_with_another_mask_is_refused(
    go: Go, tiny_checkpoint: Path, tmp_path: Path, run_spec: Any
) -> None:
    every = shutil.move(go(multi_turn_rows(), loss_on="all"), tmp_path / "every")
    last = go(multi_turn_rows(), loss_on="last")
    assert np.array_equal(np.load(every / "input_ids.npy"), np.load(last / "input_ids.npy"))
    scored = run_spec(tmp_path / "reference", kind="reference", model=str(tiny_checkpoint), data=str(last))
    with pytest.raises(TrainerError, match="computed on other data"):
        run_spec(**train(tiny_checkpoint, every, scored, tmp_path / "out"))
