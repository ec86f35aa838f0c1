"""What padding inside attention costs, by how alike in length the sequences of one block are, and by the data's order.

    python -m benchmarks.attention_blocks [--data DIRECTORY] [--time] [--output FILE]

Counts query-key pairs of one epoch against those the sequences need, for blocks of different `SIMILAR` and two orders:
`shuffle`, global batches drawn uniformly (what training does), and `grouped`, global batches of examples of similar
length out of 50 batches' worth. ``--data`` is a directory of tokenised data; without it lengths are drawn from a
log-normal like that of short instruction data (median 150, mean 200 tokens). ``--time`` also measures forward and
backward of one attention layer (9 heads of 64, 3 key-value heads, float32) in processor seconds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers import packing

RATIOS = (0.0, 0.5, 0.66, 0.8, 0.9, 1.0)
Lengths = NDArray[np.int64]


def made_up(rows: int = 4000) -> Lengths:
    """Log-normal lengths, 16 to 2,048 tokens."""
    draws = np.random.default_rng(0).lognormal(np.log(150), 0.75, rows)
    return np.clip(draws, 16, 2048).astype(np.int64)


def global_batches(lengths: Lengths, size: int, order: str) -> Iterator[Lengths]:
    """The lengths of each global batch of one epoch."""
    shuffled = lengths[np.random.default_rng(0).permutation(len(lengths))]
    pool = 50 * size if order == "grouped" else size
    for begin in range(0, len(shuffled), pool):
        part = np.sort(shuffled[begin : begin + pool])[::-1]
        for first in range(0, len(part), size):
            yield part[first : first + size]


def microbatches(batch: Lengths, budget: int) -> Iterator[list[int]]:
    """As `TokenData.microbatches` splits: longest first, at most ``budget`` tokens."""
    chosen: list[int] = []
    for length in sorted((int(each) for each in batch), reverse=True):
        if chosen and sum(chosen) + length > budget:
            yield chosen
            chosen = []
        chosen.append(length)
    yield chosen


def count(lengths: Lengths, size: int, budget: int, order: str, ratio: float) -> dict[str, Any]:
    """Pairs computed over pairs needed, blocks a microbatch, and how unequal the global batches' token counts are."""
    packing.SIMILAR = ratio
    needed = computed = blocks = micro = 0
    tokens = []
    for batch in global_batches(lengths, size, order):
        tokens.append(int(batch.sum()))
        for chosen in microbatches(batch, budget):
            groups = [[chosen[number] for number in group] for group in packing.similar(chosen)]
            needed += sum(length**2 for length in chosen)
            computed += sum(len(group) * group[0] ** 2 for group in groups)
            blocks, micro = blocks + len(groups), micro + 1
    return {
        "order": order, "batch": size, "budget": budget, "similar": ratio,
        "pairs_computed_over_needed": round(computed / needed, 3), "blocks_a_microbatch": round(blocks / micro, 2),
        "tokens_a_batch_std_over_mean": round(float(np.std(tokens) / np.mean(tokens)), 3),
    }  # fmt: skip


def timed(lengths: Lengths, size: int, budget: int, ratio: float, batches: int = 6) -> float:
    """Processor seconds of one layer's attention, forward and backward, over a few global batches; the least of two."""
    packing.SIMILAR = ratio
    chosen = [
        micro
        for batch in list(global_batches(lengths, size, "shuffle"))[:batches]
        for micro in microbatches(batch, budget)
    ]
    inputs = []
    for micro in chosen:
        shapes = ((1, heads, sum(micro), 64) for heads in (9, 3, 3))
        inputs.append(
            ([torch.randn(shape, requires_grad=True) for shape in shapes], packing.Layout.of(micro, sum(micro)))
        )
    found = []
    for _ in range(2):
        clock = time.process_time()
        for (query, key, value), layout in inputs:
            out, _ = packing.packed_attention(None, query, key, value, None, layout=layout)
            out.sum().backward()
        found.append(time.process_time() - clock)
    return min(found)


def main() -> None:
    """Count, measure if asked to, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    lengths = np.diff(np.load(options.data / "offsets.npy")) if options.data else made_up()
    settings = ((16, 2048), (16, 8192), (128, 8192))
    result: dict[str, Any] = {
        "lengths": {"rows": len(lengths), "median": float(np.median(lengths)), "mean": float(lengths.mean())},
        "counts": [
            count(lengths, size, budget, order, ratio)
            for size, budget in settings
            for order in ("shuffle", "grouped")
            for ratio in RATIOS
        ],
    }
    if options.time:
        torch.manual_seed(0)
        result["threads"] = torch.get_num_threads()
        result["processor_seconds"] = {
            f"batch {size}, budget {budget}": {str(ratio): timed(lengths, size, budget, ratio) for ratio in RATIOS[:4]}
            for size, budget in settings[:2]
        }
    print(json.dumps(result, indent=1))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
