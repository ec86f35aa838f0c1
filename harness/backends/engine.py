"""What a serving engine offers to the generate job, and the proof that it serves the checkpoint it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness import files
from harness.errors import IntegrityError

# float32 engines differ from the trainers' log-probs by about 2e-6 on average and 4e-5 at most; a swap that silently
# left the output head behind was off by 6e-4 and more.
MEAN_TOLERANCE = 5e-5
MAX_TOLERANCE = 1e-3
# The new checkpoint must be this many times nearer than the previous one can be.
MARGIN = 4.0


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Generated:
    """One completion: token ids without the end-of-turn token, and why it ended (``stop`` or ``length``)."""

    token_ids: list[int]
    finish_reason: str


class SwapMismatch(Exception):
    """The engine does not serve the checkpoint it was told to; it has to be started anew."""


class Engine(Protocol):
    """A loaded model. One engine serves many checkpoints of one architecture, one after another."""

    def load(self, checkpoint: Path) -> None:
        """Serve ``checkpoint`` from now on. Raises SwapMismatch if that cannot be proven."""

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        """Complete every prompt (token ids); ``seed`` makes a chunk with temperature repeatable."""

    def decode(self, token_ids: list[int], *, keep_special: bool) -> str:
        """Token ids → text by the checkpoint's tokenizer."""

    def score(self, prompts: list[list[int]], continuations: list[list[list[int]]]) -> list[list[float]]:
        """Natural log-probability of each of a prompt's continuations (token ids), as one batch."""

    def rewards(self, texts: list[list[int]]) -> list[float]:
        """The scalar that a reward model gives each text (token ids)."""


def stop_ids(checkpoint: Path) -> list[int]:
    """Token ids that end a turn, from ``generation_config.json``. Raises IntegrityError where none is named."""
    for name in ("generation_config.json", "config.json"):
        path = checkpoint / name
        named = files.read_json(path).get("eos_token_id") if path.exists() else None
        if named is not None:
            return list(named) if isinstance(named, list) else [int(named)]
    raise IntegrityError(f"{checkpoint} names no end-of-turn token.", "add eos_token_id to its generation_config.json")


@dataclass(frozen=True)
class Probe:
    """Log-probs of a fixed text that the trainers stored with a checkpoint. ``logprobs[i]`` belongs to token i + 1."""

    token_ids: list[int]
    logprobs: np.ndarray  # (T - 1,)

    @classmethod
    def of(cls, checkpoint: Path) -> Probe:
        """Read ``probe.json``. Raises IntegrityError where a checkpoint has none."""
        path = checkpoint / "probe.json"
        if not path.exists():
            raise IntegrityError(
                f"{checkpoint} has no probe.json, so nothing can prove that an engine serves it.",
                'python -m trainers with {"kind": "probe", "model": …}   writes one',
            )
        stored = files.read_json(path)
        return cls(list(stored["token_ids"]), np.asarray(stored["logprobs"], dtype=np.float64))


def prove(measured: list[float], new: Probe, previous: Probe | None) -> dict[str, Any]:
    """Check that ``measured`` log-probs are ``new``'s and cannot be ``previous``'s.

    Returns the distances found (mean and maximum over tokens, natural log). Raises SwapMismatch otherwise,
    also when the two checkpoints are too close for the engine's noise to tell them apart: a fresh engine needs no
    such proof.
    """
    found = np.asarray(measured, dtype=np.float64)
    if found.shape != new.logprobs.shape:
        raise SwapMismatch(f"the engine gave {found.shape[0]} log-probs for {new.logprobs.shape[0]} tokens")
    if not np.isfinite(found).all():
        raise SwapMismatch("the engine gave log-probs that are not finite")
    distance = np.abs(found - new.logprobs)
    mean, largest = float(distance.mean()), float(distance.max())
    if mean > MEAN_TOLERANCE or largest > MAX_TOLERANCE:
        raise SwapMismatch(
            f"log-probs of the probe differ from the checkpoint's by {mean:.1e} on average and {largest:.1e} at most "
            f"(allowed: {MEAN_TOLERANCE:.0e} and {MAX_TOLERANCE:.0e})"
        )
    proof = {"probe_mean_difference": mean, "probe_max_difference": largest}
    if previous is None or previous.token_ids != new.token_ids:
        return proof
    gap = float(np.abs(new.logprobs - previous.logprobs).mean())
    if gap > 0 and mean * MARGIN > gap:
        raise SwapMismatch(
            f"the previous checkpoint is only {gap:.1e} away, too near to tell from the new one at {mean:.1e}"
        )
    return proof | {"probe_gap_to_previous": gap}
