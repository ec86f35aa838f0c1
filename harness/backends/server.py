"""The one engine of a generate job: started for the first checkpoint, swapped to the next, kept where it serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.backends.engine import Engine, SwapMismatch
from harness.errors import BridgebenchError, EnvironmentFault

MEMORY_HINT = "lower generate.kv_cache_gib or generate.max_model_len, or use --set generate.backend=transformers"


class Server:
    """Gives out the engine with a stage's checkpoint loaded; ``proof`` is how the last one was shown to be served."""

    def __init__(self, execution: dict[str, Any]) -> None:
        self.execution = execution
        self.engine: Engine | None = None
        self.served: Path | None = None
        self.loads = 0
        self.proof: dict[str, Any] = {}

    def serve(self, checkpoint: Path, identity: dict[str, Any]) -> Engine:
        """The engine, serving ``checkpoint``; its weights are not read again if it does so already.

        Raises SwapMismatch where it cannot be proven, EnvironmentFault where package or memory are missing.
        """
        if self.engine is None:
            self.engine = make_engine(identity, self.execution)
        if checkpoint == self.served:
            self.proof = {**self.proof, "engine": "kept"}
            return self.engine
        self.served = None
        _load(self.engine, checkpoint)
        self.loads += 1
        self.served, self.proof = checkpoint, getattr(self.engine, "proof", {})
        return self.engine


def make_engine(identity: dict[str, Any], execution: dict[str, Any]) -> Engine:
    """The engine that ``identity`` names. Raises EnvironmentFault where its package or the memory for it is missing."""
    if identity["backend"] == "transformers":
        if identity.get("head") == "reward":
            from harness.backends.reward_engine import RewardEngine

            return RewardEngine(identity["dtype"], identity["device"])
        from harness.backends.transformers_engine import TransformersEngine

        return TransformersEngine(identity["dtype"], identity["device"], identity["max_model_len"])
    from harness.backends.vllm_engine import VllmEngine

    return VllmEngine(
        identity["dtype"],
        identity["device"],
        identity["max_model_len"],
        kv_cache_gib=execution["kv_cache_gib"],
        seed=identity.get("sampling", {}).get("seed", 0),
        tensor_parallel=identity.get("tensor_parallel", 1),
        refresh_head=execution.get("refresh_head", True),
    )


def _load(engine: Engine, checkpoint: Path) -> None:
    try:
        engine.load(checkpoint)
    except (SwapMismatch, BridgebenchError):
        raise
    except (RuntimeError, ValueError) as error:
        text = str(error).strip() or type(error).__name__
        memory = "memory" in text.lower()
        raise EnvironmentFault(
            f"the engine could not load {checkpoint}: {text.splitlines()[0]}",
            MEMORY_HINT if memory else "the whole reason stands above, in the stage's log",
        ) from error
