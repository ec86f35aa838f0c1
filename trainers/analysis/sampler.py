"""Samples of a policy at temperature 1, top-p 1, no top-k: its own distribution, nothing cut off.

Each sequence has its own stream of uniform numbers, made from (seed, prompt, sample), and a token is found by inverting
the cumulative distribution in float64. So what is drawn does not depend on how prompts are batched, but for rounding of
the logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def uniforms(seed: int, prompt: int, sample: int, count: int) -> np.ndarray:
    """(count,) uniform numbers in [0, 1) of one sequence."""
    return np.random.default_rng([seed, prompt, sample]).random(count)


@torch.inference_mode()
def draw(model: Any, prompts: list[list[int]], numbers: np.ndarray, stops: set[int]) -> list[list[int]]:
    """One continuation per prompt, with its stop token where one was drawn before the cap.

    numbers (B, cap): the uniform number that decides each token. The prompts are padded on the left; a sequence that
    has ended leaves the batch.
    """
    device = model.device
    ids, mask = _padded(prompts, device)
    found: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    cache = None
    for step in range(numbers.shape[1]):
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        chosen = invert(out.logits[:, -1], torch.from_numpy(numbers[alive, step]).to(device))
        for line, token in zip(alive, chosen.tolist(), strict=True):
            found[line].append(token)
        going = [place for place, line in enumerate(alive) if found[line][-1] not in stops]
        if not going:
            break
        if len(going) < len(alive):
            kept = torch.tensor(going, device=device)
            cache.batch_select_indices(kept)
            mask, chosen = mask[kept], chosen[kept]
            alive = [alive[place] for place in going]
        ids, mask = chosen[:, None], torch.cat([mask, mask.new_ones(len(alive), 1)], 1)
    return found


def invert(logits: Tensor, number: Tensor) -> Tensor:
    """logits (B, V), number (B,) in [0, 1) → (B,) the first token whose cumulative probability exceeds it."""
    cumulative = logits.double().softmax(1).cumsum(1)
    # scaled by the last entry, so that rounding can never point behind the last token
    return torch.searchsorted(cumulative, (number * cumulative[:, -1])[:, None], right=True)[:, 0].clamp(
        max=logits.shape[1] - 1
    )


def _padded(prompts: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return ids, mask
