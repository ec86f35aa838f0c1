"""The recipe of the trials: every kind of stage on the tiny random model, the judge behind a loopback endpoint."""

from __future__ import annotations

from pathlib import Path

NAME = "faults"
TEXT = """\
name: faults
title: What is left after a fault
base: random:tiny-llama
data:
  sft: {{source: "builtin:microtasks", split: train, rows: 24}}
  preference: {{source: "builtin:microtasks", split: preference, rows: 8}}
benchmark: {{source: "builtin:microtasks", split: eval, rows: 8}}
training: {{batch_size: 8, epochs: 2, learning_rate: 1.0e-3, max_length: 1024, max_tokens_per_microbatch: 4096,
  checkpoint_every: 2}}
variants:
  sft: {{objective: sft}}
preference_stages:
  none:
  dpo: {{objective: dpo, beta: 0.1, learning_rate: 1.0e-4}}
generate: {{backend: transformers, max_new_tokens: 16, chunk_size: 4}}
judge:
  protocol: pairwise
  baseline: base
  endpoint: {{base_url: "{url}", model: judge, concurrency: 2, max_attempts: 3, backoff_seconds: 0.05,
    timeout_seconds: 60}}
"""


def write(folder: Path, url: str) -> Path:
    """The recipe as a file, its judge at ``url``."""
    path = folder / f"{NAME}.yaml"
    path.write_text(TEXT.format(url=url))
    return path
