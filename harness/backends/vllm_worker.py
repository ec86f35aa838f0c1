"""Methods added to vLLM's worker process: refresh what a weight swap leaves behind, checksum the parameters, seed."""

from __future__ import annotations

from typing import Any


class ServingExtension:
    """Mixed into vLLM's worker through ``worker_extension_cls`` and called by ``collective_rpc``."""

    model_runner: Any

    def bridgebench_refresh_output_head(self) -> None:
        """Let the output head repack its weights after ``reload_weights``.

        On CPU the engine keeps a prepacked copy of the output head. With tied embeddings the reload renews the
        embedding and leaves that copy stale, and greedy output still looks fine.
        """
        model = self.model_runner.model
        head = getattr(model, "lm_head", None)
        method = getattr(head, "quant_method", None)
        if method is not None and hasattr(method, "process_weights_after_loading"):
            method.process_weights_after_loading(head)

    def bridgebench_seed(self, seed: int) -> None:
        """Seed torch's generators, so that a chunk with temperature is repeatable."""
        import torch

        torch.manual_seed(seed)

    def bridgebench_checksums(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Name → (checksum, shape) of every parameter of this process that can still be read (see
        `harness.backends.checksums`).
        """
        from harness.backends.checksums import tensor_checksum

        return {
            name: (tensor_checksum(parameter.data), tuple(parameter.shape))
            for name, parameter in self.model_runner.model.named_parameters()
            if parameter.numel() > 0
        }
