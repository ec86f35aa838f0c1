"""The proof that an engine serves a checkpoint, checksums of fused parameters, and the generate job's bookkeeping."""

from __future__ import annotations

import dataclasses
import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness import files
from harness.backends import RESTART_ENGINE, checksums, job, server
from harness.backends.chunks import Chunks
from harness.backends.engine import Generated, Probe, Sampling, SwapMismatch, prove, stop_ids
from harness.errors import BridgebenchError, IntegrityError

TOKENS = list(range(101))


def probe(shift: float = 0.0, seed: int = 0) -> Probe:
    generator = np.random.default_rng(seed)
    return Probe(TOKENS, -3 + generator.normal(size=100) + shift)


def noisy(of: Probe, scale: float) -> list[float]:
    return list(of.logprobs + scale * np.random.default_rng(9).normal(size=100))


def test_an_engine_within_the_noise_of_the_checkpoint_is_accepted() -> None:
    proof = prove(noisy(probe(), 3e-6), probe(), probe(shift=0.02))
    assert proof["probe_mean_difference"] < 1e-5
    assert proof["probe_gap_to_previous"] == pytest.approx(0.02)


def test_an_engine_that_still_serves_the_previous_checkpoint_is_caught() -> None:
    new, previous = probe(), probe(shift=0.02)
    with pytest.raises(SwapMismatch, match="differ from the checkpoint"):
        prove(noisy(previous, 3e-6), new, previous)


def test_a_stale_output_head_of_a_neighbour_checkpoint_is_caught() -> None:
    with pytest.raises(SwapMismatch):
        prove(noisy(probe(), 6e-4), probe(), probe(shift=0.02))


def test_checkpoints_too_near_to_tell_apart_are_not_called_proven() -> None:
    with pytest.raises(SwapMismatch, match="too near to tell"):
        prove(noisy(probe(), 3e-6), probe(), probe(shift=5e-6))


def test_equal_checkpoints_need_no_telling_apart() -> None:
    assert prove(noisy(probe(), 3e-6), probe(), probe())["probe_gap_to_previous"] == 0


@pytest.mark.parametrize("bad", [[-1.0] * 99, [float("nan")] * 100])
def test_an_answer_of_the_wrong_shape_or_without_numbers_is_caught(bad: list[float]) -> None:
    with pytest.raises(SwapMismatch):
        prove(bad, probe(), None)


def test_a_checkpoint_without_a_probe_or_stop_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"no probe\.json"):
        Probe.of(tmp_path)
    with pytest.raises(IntegrityError, match="names no end-of-turn token"):
        stop_ids(tmp_path)


def test_checksums_see_a_changed_bit_a_permutation_and_match_fused_tensors(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = {
        f"model.layers.0.self_attn.{name}_proj.weight": torch.randn(rows, 8, generator=generator)
        for name, rows in (("q", 8), ("k", 4), ("v", 4))
    }
    norm = torch.randn(8, generator=generator)
    save_file({**parts, "model.norm.weight": norm}, tmp_path / "model.safetensors")
    fused = torch.cat(list(parts.values()))
    names = ("model.layers.0.self_attn.qkv_proj.weight", "model.norm.weight")

    def differing(qkv: torch.Tensor, dtype: str = "float32") -> list[str]:
        found = {names[0]: found_in(qkv), names[1]: found_in(norm.to(qkv.dtype))}
        return checksums.compare([found], tmp_path, dtype)[1]

    assert differing(fused) == []
    assert differing(fused.bfloat16(), "bfloat16") == []
    assert differing(fused.flip(0)) == [names[0]]
    one_bit = fused.clone().view(torch.int32)
    one_bit[3, 3] ^= 1
    assert differing(one_bit.view(torch.float32)) == [names[0]]


def found_in(tensor: torch.Tensor) -> checksums.Found:
    return checksums.tensor_checksum(tensor), tuple(tensor.shape)


def padded(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.new_zeros(rows - tensor.shape[0], tensor.shape[1])])


@pytest.mark.parametrize("ranks", [2, 4])
def test_checksums_know_what_each_process_of_a_split_engine_holds(tmp_path: Path, ranks: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def new(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    q, k, v = new(16, 8), new(4, 8), new(4, 8)  # two key-value heads of two rows: four processes hold each twice
    gate, up, down, norm, embedding = new(12, 8), new(12, 8), new(8, 12), new(8), new(62, 8)
    tensors = {
        **{f"layer.{name}_proj.weight": value for name, value in {"q": q, "k": k, "v": v, "gate": gate}.items()},
        **{"layer.up_proj.weight": up, "layer.down_proj.weight": down, "norm.weight": norm, "embed.weight": embedding},
    }
    save_file(tensors, tmp_path / "model.safetensors")

    def held(rank: int) -> dict[str, torch.Tensor]:
        heads = [part.split(2)[rank * 2 // ranks] for part in (k, v)]
        return {
            "layer.qkv_proj.weight": torch.cat([q.chunk(ranks)[rank], *heads]),
            "layer.gate_up_proj.weight": torch.cat([gate.chunk(ranks)[rank], up.chunk(ranks)[rank]]),
            "layer.down_proj.weight": down.chunk(ranks, dim=1)[rank],
            "norm.weight": norm,
            "embed.weight": padded(embedding, 64).chunk(ranks)[rank],
        }

    found = [{name: found_in(value) for name, value in held(rank).items()} for rank in range(ranks)]
    assert checksums.compare(found, tmp_path, "float32") == (5 * ranks, [])
    exchanged = checksums.compare(found[::-1], tmp_path, "float32")[1]
    assert set(exchanged) == set(found[0]) - {"norm.weight"}
    stale = held(1)["layer.down_proj.weight"].clone()
    stale[7, 0] += 1
    found[1]["layer.down_proj.weight"] = found_in(stale)
    assert checksums.compare(found, tmp_path, "float32")[1] == ["layer.down_proj.weight"]


class Recorder:
    """An engine without a model: answers with the prompt's own tokens, and refuses the swaps it is told to."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse, self.loaded, self.batches, self.proof = refuse, [], [], {"engine": "test"}  # type: ignore[var-annotated]

    def load(self, checkpoint: Path) -> None:
        if checkpoint.name == self.refuse:
            raise SwapMismatch("not the same")
        self.loaded.append(checkpoint.name)

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        self.batches.append(prompts)
        return [Generated(prompt, "stop") for prompt in prompts]

    def decode(self, token_ids: list[int], *, keep_special: bool) -> str:
        return " ".join(map(str, token_ids))


def stage(folder: Path, name: str) -> job.GenerateStage:
    prompts = folder / "prompts.jsonl"
    if not prompts.exists():
        rows = [{"prompt_id": f"p{n}", "messages": [], "token_ids": [n], "rendered_sha256": str(n)} for n in range(5)]
        files.write_jsonl(prompts, rows)
    sampling = {"max_new_tokens": 4, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    identity: dict[str, Any] = {"chunk_size": 2, "sampling": sampling}
    record = {"kind": "generate", "key": name}
    return job.GenerateStage(folder / name, folder / "checkpoints" / name, prompts, name, identity, record)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(server, "make_engine", lambda identity, execution: recorder)
    return recorder


def test_a_stage_is_answered_in_fixed_chunks_in_order(tmp_path: Path, engine: Recorder) -> None:
    assert job.run([stage(tmp_path, "a")], {}) == 0
    assert engine.batches == [[[0], [1]], [[2], [3]], [[4]]]
    rows = files.read_jsonl(tmp_path / "a" / "completions.jsonl")
    assert [row["prompt_id"] for row in rows] == ["p0", "p1", "p2", "p3", "p4"]
    assert not (tmp_path / "a" / "chunks").exists()


def test_a_continued_stage_answers_only_the_missing_chunks(tmp_path: Path, engine: Recorder) -> None:
    job.run([stage(tmp_path, "whole")], {})
    files.write_jsonl(
        tmp_path / "a" / "chunks" / "00001.jsonl", [{"prompt_id": "kept", **SIZES}, {"prompt_id": "too", **SIZES}]
    )
    engine.batches.clear()
    assert job.run([stage(tmp_path, "a")], {}) == 0
    assert engine.batches == [[[0], [1]], [[4]]]
    rows = files.read_jsonl(tmp_path / "a" / "completions.jsonl")
    assert [row["prompt_id"] for row in rows] == ["p0", "p1", "kept", "too", "p4"]


SIZES = {"prompt_tokens": 1, "completion_tokens": 1, "finish_reason": "stop"}


def test_a_finished_stage_is_left_alone(tmp_path: Path, engine: Recorder) -> None:
    job.run([stage(tmp_path, "a")], {})
    job.run([stage(tmp_path, "a"), stage(tmp_path, "b")], {})
    assert engine.loaded == ["a", "b"]


def test_a_refused_swap_asks_for_a_fresh_engine_and_writes_no_completion(tmp_path: Path, engine: Recorder) -> None:
    engine.refuse = "b"
    assert job.run([stage(tmp_path, "a"), stage(tmp_path, "b"), stage(tmp_path, "c")], {}) == RESTART_ENGINE
    assert (tmp_path / "a" / "manifest.json").exists()
    assert not (tmp_path / "b").exists()


def test_a_fresh_engine_that_differs_from_the_checkpoint_is_an_error_not_a_loop(
    tmp_path: Path, engine: Recorder
) -> None:
    engine.refuse = "a"
    with pytest.raises(BridgebenchError, match="does not reproduce") as caught:
        job.run([stage(tmp_path, "a")], {})
    assert caught.value.exit_code == 4


def test_a_checkpoint_that_is_served_already_is_not_loaded_again(tmp_path: Path, engine: Recorder) -> None:
    first, second, third = (stage(tmp_path, name) for name in "abc")
    job.run([first, dataclasses.replace(second, checkpoint=first.checkpoint), third], {})
    assert engine.loaded == ["a", "c"]
    proofs = [files.read_json(tmp_path / name / "manifest.json")["summary"]["serving"]["engine"] for name in "abc"]
    assert proofs == ["test", "kept", "test"]


def test_a_stage_whose_chunks_were_all_there_claims_no_proof_of_this_engine(tmp_path: Path, engine: Recorder) -> None:
    last = stage(tmp_path, "b")
    for number in range(3):
        files.write_jsonl(last.chunk_path(number), [{"prompt_id": "kept", **SIZES}])
    job.run([stage(tmp_path, "a"), last], {})
    assert engine.loaded == ["a"]
    assert files.read_json(tmp_path / "b" / "manifest.json")["summary"]["serving"] == {}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    temperatures=st.lists(st.sampled_from([None, 0.0, 0.7]), max_size=30),
    size=st.integers(1, 7),
    torn=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_chunks_are_the_same_whichever_is_read_first(
    temperatures: list[float | None], size: int, torn: bool, order: random.Random
) -> None:
    rows = [
        {"prompt_id": f"é{n}"} | ({} if temperature is None else {"temperature": temperature})
        for n, temperature in enumerate(temperatures)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.jsonl"
        files.write_jsonl(path, rows)
        if torn:
            path.write_bytes(path.read_bytes() + b'{"prompt_id": "to')
        chunks = Chunks(path, size)
        numbers = list(range(len(chunks)))
        order.shuffle(numbers)
        read = {number: chunks.read(number) for number in numbers}
    in_order = [read[number] for number in range(len(chunks))]
    groups = list(dict.fromkeys(temperatures))
    expected = [[row for row in rows if row.get("temperature") == group] for group in groups]
    assert [row for chunk in in_order for row in chunk] == [row for group in expected for row in group]
    assert [len(chunk) for chunk in in_order] == [
        min(size, len(group) - at) for group in expected for at in range(0, len(group), size)
    ]


class Echo(Recorder):
    """Answers at length and keeps nothing."""

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        return [Generated(prompt, "stop") for prompt in prompts]


def test_a_job_holds_one_chunk_whatever_the_number_of_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "make_engine", lambda identity, execution: Echo())

    def peak(chunks: int) -> int:
        """Bytes that Python allocated at most while the job ran."""
        folder = tmp_path / str(chunks)
        rows = [
            {"prompt_id": f"p{n}", "messages": [], "token_ids": list(range(1000, 2500)), "rendered_sha256": str(n)}
            for n in range(2 * chunks)
        ]
        files.write_jsonl(folder / "prompts.jsonl", rows)
        del rows
        tracemalloc.start()
        try:
            assert job.run([stage(folder, "a")], {}) == 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what the first run imports
    few, many = peak(4), peak(40)
    one_prompt = 1500 * 8  # its list of token ids alone
    assert many - few < 5 * one_prompt  # 72 prompts more
