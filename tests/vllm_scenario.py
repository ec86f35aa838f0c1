"""Drives the real vLLM engine through several checkpoints in one process; prints what happened as JSON.

A script of its own because the engine wants a process: ``python tests/vllm_scenario.py A B C``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from harness.backends import checksums
from harness.backends.engine import Sampling, SwapMismatch
from harness.backends.transformers_engine import TransformersEngine
from harness.backends.vllm_engine import VllmEngine
from tests.sockets import family, listening

PROMPTS = [[256, 84, 82, 68, 81, 198, 50], [256, 84, 82], list(range(40))]
GREEDY = Sampling(max_new_tokens=12, temperature=0.0, top_p=1.0, seed=0)
WARM = Sampling(max_new_tokens=12, temperature=1.0, top_p=0.9, seed=0)


def attempt(engine: VllmEngine, checkpoint: Path) -> str:
    try:
        engine.load(checkpoint)
    except SwapMismatch as mismatch:
        return str(mismatch)
    return "accepted"


def main(paths: list[Path]) -> dict[str, Any]:
    engine = VllmEngine("float32", "cpu", 512, kv_cache_gib=1, seed=0)
    plain = TransformersEngine("float32", "cpu", 512)
    seen: dict[str, Any] = {"proofs": [], "greedy": [], "plain": []}
    for path in paths:
        engine.load(path)
        plain.load(path)
        seen["proofs"].append(engine.proof)
        seen["listens"] = listening(family(os.getpid()))
        seen["greedy"].append([dataclasses.asdict(each) for each in engine.generate(PROMPTS, GREEDY, 0)])
        seen["plain"].append([dataclasses.asdict(each) for each in plain.generate(PROMPTS, GREEDY, 0)])
    seen["warm"] = [[each.token_ids for each in engine.generate(PROMPTS, WARM, seed)] for seed in (5, 5, 6)]
    found = engine.llm.collective_rpc("bridgebench_checksums")
    seen["checksums_of_served"] = checksums.compare(found, paths[-1], "float32")
    seen["checksums_of_other"] = checksums.compare(found, paths[0], "float32")
    swap = engine._swap
    engine._swap = lambda checkpoint: None  # type: ignore[method-assign]
    seen["without_reload"] = attempt(engine, paths[-2])
    engine._swap, engine.refresh_head = swap, False  # type: ignore[method-assign]
    seen["without_head_refresh"] = attempt(engine, paths[-2])
    engine.refresh_head = True
    seen["mended"] = attempt(engine, paths[-2])
    return seen


if __name__ == "__main__":
    keep = os.dup(1)
    os.dup2(2, 1)
    outcome = main([Path(argument) for argument in sys.argv[1:]])
    os.write(keep, (json.dumps(outcome) + "\n").encode())
