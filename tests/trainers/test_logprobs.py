"""Log-probs from the packed body and the chunked head against a plain softmax over full logits, one sequence at a
time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainers import lean
from trainers.checkpoint import load_model
from trainers.data import TokenData
from trainers.errors import TrainerError
from trainers.logprobs import ChunkedLogProbs, check_head, response_logprobs, response_scores


def one_at_a_time(model: Any, data: TokenData) -> dict[int, torch.Tensor]:
    """Token index in the data → log-prob, by full logits of unpadded, unpacked sequences."""
    found = {}
    for sequence in range(data.sequences):
        start, end = int(data.offsets[sequence]), int(data.offsets[sequence + 1])
        ids = torch.from_numpy(data.input_ids[start:end].astype("int64"))[None]
        logprobs = model(input_ids=ids).logits.log_softmax(-1)[0]
        for place in range(1, end - start):
            if data.loss_mask[start + place]:
                found[start + place] = logprobs[place - 1, ids[0, place]]
    return found


def plain_model(checkpoint: Path, dtype: torch.dtype) -> Any:
    """`transformers`' own model; in float64 with norms of that width, which its own do not have."""
    model = load_model(checkpoint, dtype, "cpu")
    return lean.slim(model) if dtype == torch.float64 else model


@pytest.mark.parametrize("budget", [1, 200, 100_000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_packed_log_probs_equal_a_plain_softmax_one_sequence_at_a_time(
    tiny_checkpoint: Path, preference_data: Path, budget: int, dtype: torch.dtype, tolerance: float
) -> None:
    data = TokenData(preference_data, group=2)
    plain = one_at_a_time(plain_model(tiny_checkpoint, dtype), data)
    packed = load_model(tiny_checkpoint, dtype, "cpu", packed=True)
    seen = 0
    for batch in data.microbatches(list(range(len(data))), budget):
        values = response_logprobs(packed, batch, None)
        expected = torch.stack([plain[int(token)] for token in batch.token])
        torch.testing.assert_close(values, expected, atol=tolerance, rtol=0)
        seen += len(values)
    assert seen == len(plain) == int(data.loss_mask.sum())


def test_a_packed_sequence_does_not_feel_its_neighbours(tiny_checkpoint: Path, sft_data: Path) -> None:
    data = TokenData(sft_data)
    model = load_model(tiny_checkpoint, torch.float64, "cpu", packed=True)
    alone = response_logprobs(model, next(data.microbatches([3], 1)), None)
    batch = next(data.microbatches([0, 1, 2, 3, 4], 100_000))
    together = response_logprobs(model, batch, None)[batch.sequence == batch.rows.index(3)]
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("budget", [1, 100_000])
def test_logsumexp_of_response_states_and_behind_truncated_turns_equals_that_of_full_logits(
    tiny_checkpoint: Path, talk_data: Path, budget: int
) -> None:
    data = TokenData(talk_data)
    plain = plain_model(tiny_checkpoint, torch.float64)
    packed = load_model(tiny_checkpoint, torch.float64, "cpu", packed=True)
    whole = torch.full((len(data.input_ids),), torch.nan, dtype=torch.float64)
    for sequence in range(data.sequences):
        start, end = int(data.offsets[sequence]), int(data.offsets[sequence + 1])
        ids = torch.from_numpy(data.input_ids[start:end].astype("int64"))[None]
        whole[start:end] = plain(input_ids=ids).logits[0].logsumexp(-1)
    truncated = 0
    for batch in data.microbatches(list(range(len(data))), budget):
        scores = response_scores(packed, batch, None, tails=True)
        torch.testing.assert_close(scores.logsumexp, whole[batch.token - 1], atol=1e-11, rtol=0)
        torch.testing.assert_close(scores.tail, whole[batch.turns.tail_token], atol=1e-11, rtol=0)
        truncated += len(scores.tail)
    # every sequence that was cut ends in a response without its end
    cut = [s for s in range(data.sequences) if data.loss_mask[data.offsets[s + 1] - 1] and not
           data.turn_ends[data.offsets[s + 1] - 1]]  # fmt: skip
    assert truncated == len(cut) >= 2


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_heads_own_backward_equals_autograds(chunk: int, keep: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(7, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(11, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.tensor([0, 10, 3, 3, 7, 1, 2])
    slopes = torch.randn(2, 7, dtype=torch.float64, generator=generator)
    logits = hidden @ weight.T
    full = logits.log_softmax(-1)[torch.arange(7), target], logits.logsumexp(-1)
    for used in ([0], [1], [0, 1]):  # the log-prob alone, logsumexp alone, both
        ours = ChunkedLogProbs.apply(hidden, weight, target, chunk, keep)
        mine, theirs = (
            torch.autograd.grad(sum((each[i] * slopes[i]).sum() for i in used), (hidden, weight), retain_graph=True)
            for each in (ours, full)
        )
        for found, expected in zip(mine, theirs, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_a_head_with_soft_capping_is_refused(tiny_checkpoint: Path) -> None:
    model = load_model(tiny_checkpoint, torch.float32, "cpu")
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(TrainerError, match="final_logit_softcapping"):
        check_head(model)


def test_a_sequence_longer_than_the_models_window_is_refused() -> None:
    from trainers.packing import packed_attention

    states = torch.randn(1, 2, 9, 4)
    with pytest.raises(ValueError, match="window of 8"):
        packed_attention(None, states, states, states, None, sliding_window=8)
