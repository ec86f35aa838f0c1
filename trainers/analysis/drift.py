"""The `drift` task: KL(policy || reference) of responses up to a length cap, on fresh samples of the policy.

Three unbiased estimators of the same number, per sampled sequence y of T tokens (docs/analysis.md):
  kl            sum_t KL(pi(.|s_t) || pi_0(.|s_t)), exact over the vocabulary at each visited state (Rao-Blackwellised)
  plain         sum_t d_t,  d_t = log pi(y_t|s_t) - log pi_0(y_t|s_t)
  non_negative  sum_t (exp(-d_t) - 1 + d_t), each term at least 0
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainers.analysis import heads, responses, sampler
from trainers.analysis.chunks import Arrays, Chunks
from trainers.analysis.responses import Response, read_jsonl
from trainers.analysis.tasks import Drift
from trainers.analysis.vocabularies import require_same_head, require_same_tokenizer
from trainers.checkpoint import choose_device, load_model, load_tokenizer, stop_token_ids
from trainers.errors import TrainerError
from trainers.logprobs import check_head
from trainers.output import Run, spec_digest, write_jsonl

FILE = "samples.jsonl"


@dataclass(frozen=True)
class Pair:
    """Policy and reference, loaded for packed rows; the policy can also sample."""

    policy: Any
    reference: Any
    device: str
    budget: int


def run(spec: Any) -> None:
    """Run a `Drift` task: ``samples.jsonl``, one line per sampled sequence."""
    task: Drift = spec.task
    clock = Run(spec)
    require_same_tokenizer(task.model, task.reference)
    prompts = _prompts(task.prompts)
    pair = _load(task, spec)
    stops = set(stop_token_ids(task.model))
    size = max(1, spec.chunk_size // task.samples_per_prompt)
    starts = range(0, len(prompts), size)

    def chunk(number: int) -> Arrays:
        numbers = range(starts[number], min(starts[number] + size, len(prompts)))
        return _chunk(pair, task, prompts, numbers, stops)

    done = Chunks(clock.directory, spec_digest(spec)).all(len(starts), chunk)
    lines = [line for part in done for line in _lines(part, prompts, stops, load_tokenizer(task.model))]
    write_jsonl(clock.directory / FILE, lines)
    clock.finish([FILE], _summary(lines, task))
    Chunks(clock.directory, "").remove()


def _summary(lines: list[dict[str, Any]], task: Drift) -> dict[str, Any]:
    return {
        "prompts": len({line["id"] for line in lines}),
        "sequences": len(lines),
        "tokens": sum(line["tokens"] for line in lines),
        "capped": sum(not line["ended"] for line in lines),
        "max_new_tokens": task.max_new_tokens,
        **{name: float(np.mean([line[name] for line in lines])) for name in ("kl", "plain", "non_negative")},
    }


def _prompts(directory: Path) -> list[dict[str, Any]]:
    found = read_jsonl(directory / "prompts.jsonl")
    if not found:
        raise TrainerError(f"{directory} holds no prompts.")
    return found


def _load(task: Drift, spec: Any) -> Pair:
    device = choose_device(spec.device)
    policy, reference = (load_model(path, torch.float32, device, packed=True) for path in (task.model, task.reference))
    for model in (policy, reference):
        check_head(model)
    require_same_head(policy, reference)
    return Pair(policy, reference, device, spec.max_tokens_per_microbatch)


@contextlib.contextmanager
def sampling_attention(model: Any) -> Iterator[None]:
    """Ordinary attention with a cache while sampling, packed attention otherwise; one copy of the weights."""
    packed = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(packed)


def _chunk(pair: Pair, task: Drift, prompts: list[dict[str, Any]], numbers: range, stops: set[int]) -> Arrays:
    which = [(number, sample) for number in numbers for sample in range(task.samples_per_prompt)]
    streams = np.stack([sampler.uniforms(task.seed, *each, task.max_new_tokens) for each in which])
    contexts = [prompts[number]["token_ids"] for number, _ in which]
    with sampling_attention(pair.policy):
        drawn = sampler.draw(pair.policy, contexts, streams, stops)
    listed = [Response("", [*context, *own], len(context)) for context, own in zip(contexts, drawn, strict=True)]
    divergence, ratio = compare(pair, listed)
    return {
        "prompt": np.array([number for number, _ in which]),
        "sample": np.array([sample for _, sample in which]),
        "length": np.array([len(own) for own in drawn]),
        "tokens": np.concatenate([np.array(own) for own in drawn]),
        "kl": np.concatenate(divergence),
        "d": np.concatenate(ratio),
    }


@torch.inference_mode()
def compare(pair: Pair, listed: list[Response]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Exact KL at the states s_0 … s_{T-1} and d_t of the tokens drawn there, (T,) each, per response."""
    divergence: list[np.ndarray] = [np.empty(0)] * len(listed)
    ratio: list[np.ndarray] = [np.empty(0)] * len(listed)
    for numbers in responses.microbatches(listed, pair.budget):
        batch = responses.pack([listed[number] for number in numbers]).to(pair.device)
        hidden, hidden0 = (heads.hidden_states(model, batch) for model in (pair.policy, pair.reference))
        exact, own = heads.exact_kl(pair.policy, pair.reference, hidden, hidden0, batch.target)
        for number, here, d in zip(numbers, exact.split(batch.counts), own.split(batch.counts), strict=True):
            # nothing is drawn behind the last token
            divergence[number], ratio[number] = here[:-1].cpu().numpy(), d[:-1].cpu().numpy()
    return divergence, ratio


def _lines(part: Arrays, prompts: list[dict[str, Any]], stops: set[int], tokenizer: Any) -> list[dict[str, Any]]:
    ends = np.cumsum(part["length"])
    lines = []
    for line, end in enumerate(ends):
        inside = slice(int(end) - int(part["length"][line]), int(end))
        tokens = [int(token) for token in part["tokens"][inside]]
        lines.append(
            {
                "id": prompts[int(part["prompt"][line])]["prompt_id"],
                "sample": int(part["sample"][line]),
                "ended": tokens[-1] in stops,
                "tokens": len(tokens),
                **estimators(part["kl"][inside].astype(np.float64), part["d"][inside].astype(np.float64)),
                "token_ids": tokens,
                "text": tokenizer.decode(tokens, skip_special_tokens=True),
                "kl_by_token": [round(float(value), 7) for value in part["kl"][inside]],
            }
        )
    return lines


def estimators(divergence: np.ndarray, ratio: np.ndarray) -> dict[str, float]:
    """The three estimates of one sequence, from exact KL per state and d_t, (T,) each."""
    return {
        "kl": float(divergence.sum()),
        "plain": float(ratio.sum()),
        "non_negative": float((np.expm1(-ratio) + ratio).sum()),
    }
