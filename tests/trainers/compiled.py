"""torch.compile against eager on the tiny model: the same losses of four SFT steps and the same reference scores, in
float32 and under autocast.

    make check-compile

Not part of the tests: compiling takes up to a minute.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.trainers.conftest import sft_rows, write_rows
from trainers import loop
from trainers.__main__ import run
from trainers.spec import ADAPTER

TOLERANCE = {None: 1e-5, "bfloat16": 5e-3}


def data(folder: Path) -> dict[str, str]:
    """The tiny model and eight tokenised demonstrations."""
    source = {"format": "random", "name": "tiny-llama"}
    run(ADAPTER.validate_python({"kind": "convert", "output": str(folder / "base"), "source": source}))
    model, rows = str(folder / "base" / "checkpoint"), write_rows(folder / "rows.jsonl", sft_rows())
    spec = {"kind": "tokenize", "format": "sft", "model": model, "rows": str(rows), "output": str(folder / "tokens")}
    run(ADAPTER.validate_python(spec))
    return {"model": model, "data": spec["output"]}


def losses(settings: dict[str, Any], output: Path) -> tuple[list[float], float]:
    """The loss of each step, and the seconds that all took."""
    values = {"kind": "train", "output": str(output), "learning_rate": 1e-3, "batch_size": 4, "epochs": 2, **settings}
    clock = time.monotonic()
    trainer = loop.Trainer(ADAPTER.validate_python(values), output)
    trainer.fit()
    return [row["loss"] for row in trainer.history], time.monotonic() - clock


def scores(settings: dict[str, Any], output: Path) -> torch.Tensor:
    """The reference log-probs of all response tokens."""
    run(ADAPTER.validate_python({"kind": "reference", "output": str(output), **settings}))
    found = torch.from_numpy(np.load(output / "logprobs.npy"))
    return found[~found.isnan()]


def main() -> None:
    """Compare, print what was seen, and fail if a loss differs."""
    found: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = data(folder)
        for autocast, tolerance in TOLERANCE.items():
            name = autocast or "float32"
            eager, seconds = losses({**base, "autocast": autocast}, folder / f"{name}-eager")
            compiled, longer = losses({**base, "autocast": autocast, "compile": True}, folder / f"{name}-compiled")
            torch.testing.assert_close(torch.tensor(compiled), torch.tensor(eager), rtol=tolerance, atol=0)
            settings = {**base, "autocast": autocast}
            known = scores(settings, folder / f"{name}-scores")
            compiled_scores = scores({**settings, "compile": True}, folder / f"{name}-scores-compiled")
            torch.testing.assert_close(compiled_scores, known, rtol=tolerance, atol=tolerance)
            difference = max(abs(a / b - 1) for a, b in zip(compiled, eager, strict=True))
            found[name] = {
                "losses": eager, "largest_relative_difference": difference, "tolerance": tolerance,
                "largest_difference_of_scores": float((compiled_scores - known).abs().max()),
                "eager_seconds": round(seconds, 1), "compiled_seconds": round(longer, 1),
            }  # fmt: skip
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
