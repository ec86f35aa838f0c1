"""Run by torchrun from test_sharded.py: loss and gradient of the first batch, then five steps, in a chosen dtype.

python -m tests.trainers.sharded_scenario SPEC.json DTYPE OUT.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainers import loop, policy, spec
from trainers.distributed import end_process, whole


def main(path: str, dtype: str, out: str) -> None:
    torch.set_num_threads(1)
    policy.stored_dtype = lambda _: getattr(torch, dtype)  # a dtype that users are not offered
    settings = spec.read(Path(path))
    trainer = loop.Trainer(settings, settings.output)
    settings.output.mkdir(parents=True, exist_ok=True)
    loss, metrics = trainer.accumulate(trainer.batch(0))
    found = {"loss": torch.tensor([loss, *metrics.values()], dtype=torch.float64)}
    found |= {f"gradient/{name}": whole(parameter.grad) for name, parameter in trainer.parameters}
    found = {name: tensor.clone() for name, tensor in found.items()}
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.metrics.restart([])
    for step in range(5):
        trainer._step(step)
    weights = policy.plain_weights(trainer.scorer, trainer.optimizer)
    if trainer.world.writes:
        save_file(found | {f"weight/{name}": tensor.contiguous() for name, tensor in weights.items()}, out)
    trainer.world.wait()
    trainer.world.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_process(0)
