"""Generation by `transformers`: slower than vLLM, and runs wherever torch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.backends.engine import Generated, Probe, Sampling, prove, stop_ids


class TransformersEngine:
    """Greedy or sampled batch generation with left padding; every checkpoint is loaded afresh, so no swap can go
    wrong.
    """

    def __init__(self, dtype: str, device: str, max_model_len: int) -> None:
        self.dtype, self.device, self.max_model_len = dtype, device, max_model_len
        self.model: Any = None
        self.tokenizer: Any = None
        self.stop_ids: list[int] = []
        self.proof: dict[str, Any] = {}

    def load(self, checkpoint: Path) -> None:
        """Load ``checkpoint`` and compare its log-probs with the stored probe (float32 only)."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = None  # free the previous weights first
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=getattr(torch, self.dtype), use_safetensors=True, trust_remote_code=False
        )
        self.model = model.to(self.device).eval()
        self.stop_ids = stop_ids(checkpoint)
        probe = Probe.of(checkpoint)
        if self.dtype == "float32":
            self.proof = prove(self._logprobs(probe.token_ids), probe, None)

    def _logprobs(self, token_ids: list[int]) -> list[float]:
        import torch

        ids = torch.tensor([token_ids], device=self.device)
        with torch.inference_mode():
            logits = self.model(ids).logits[0, :-1].float()
        return logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0].tolist()  # type: ignore[no-any-return]

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        """Complete all prompts as one batch."""
        import torch

        torch.manual_seed(seed)
        width = max(len(prompt) for prompt in prompts)
        padding = self.stop_ids[0]
        ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        how: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            how = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": 0,
            }
        else:
            # a checkpoint's own sampling defaults must neither warn nor leak into greedy decoding
            how |= {"temperature": None, "top_p": None, "top_k": None}
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                max_new_tokens=sampling.max_new_tokens,
                pad_token_id=padding,
                **how,
            )
        return [self._cut(row, sampling.max_new_tokens) for row in out[:, width:].tolist()]

    def _cut(self, token_ids: list[int], limit: int) -> Generated:
        for position, token in enumerate(token_ids[:limit]):
            if token in self.stop_ids:
                return Generated(token_ids[:position], "stop")
        return Generated(token_ids[:limit], "length")

    def decode(self, token_ids: list[int], *, keep_special: bool) -> str:
        """Token ids → text."""
        text: str = self.tokenizer.decode(
            token_ids, skip_special_tokens=not keep_special, clean_up_tokenization_spaces=False
        )
        return text

    def score(self, prompts: list[list[int]], continuations: list[list[list[int]]]) -> list[list[float]]:
        """Log-probs of continuations, one text after another: without padding, the batch cannot change them."""
        return [
            [self._tail_logprob(prompt, continuation) for continuation in own]
            for prompt, own in zip(prompts, continuations, strict=True)
        ]

    def _tail_logprob(self, prompt: list[int], continuation: list[int]) -> float:
        import torch

        ids = torch.tensor([prompt + continuation], device=self.device)
        with torch.inference_mode():
            logits = self.model(ids, logits_to_keep=len(continuation) + 1).logits[0, :-1].float()  # (len, V)
        chosen = logits.log_softmax(-1).gather(-1, ids[0, -len(continuation) :, None])
        return float(chosen.sum())

    def rewards(self, texts: list[list[int]]) -> list[float]:
        """Not offered: a reward model has another head (see `harness.backends.reward_engine`)."""
        raise NotImplementedError
