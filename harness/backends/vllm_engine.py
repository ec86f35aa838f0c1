"""Generation by vLLM: one engine start, checkpoints swapped in place, every swap proven.

In float32 the proof is the probe's prompt log-probs; in bfloat16 (CUDA) checksums of the engine's parameters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.backends import checksums
from harness.backends.engine import Generated, Probe, Sampling, SwapMismatch, prove, stop_ids

EXTENSION = "harness.backends.vllm_worker.ServingExtension"


class VllmEngine:
    """The engine of this process. `load` starts it at the first checkpoint and swaps weights at the next ones."""

    def __init__(
        self,
        dtype: str,
        device: str,
        max_model_len: int,
        *,
        kv_cache_gib: float,
        seed: int,
        refresh_head: bool = True,
        gpus: int = 1,
    ) -> None:
        self.dtype, self.device, self.max_model_len = dtype, device, max_model_len
        self.kv_cache_gib, self.seed, self.refresh_head = kv_cache_gib, seed, refresh_head
        self.gpus = gpus
        self.llm: Any = None
        self.tokenizer: Any = None
        self.previous: Probe | None = None
        self.stop_ids: list[int] = []
        self.proof: dict[str, Any] = {}

    def load(self, checkpoint: Path) -> None:
        """Serve ``checkpoint``. Raises SwapMismatch where the engine does not, or it cannot be told."""
        probe = Probe.of(checkpoint)
        swapped = self.llm is not None
        if swapped:
            self._swap(checkpoint)
        else:
            self._start(checkpoint)
        previous, self.previous = (self.previous if swapped else None), probe
        self.stop_ids = stop_ids(checkpoint)
        self.proof = {"engine": "swapped" if swapped else "started"} | self._prove(checkpoint, probe, previous)

    def _start(self, checkpoint: Path) -> None:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(1, round(self.kv_cache_gib))))
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # one process: nothing is left behind when it is killed
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        from vllm import LLM

        on_cpu: dict[str, Any] = {"enforce_eager": True, "gpu_memory_utilization": 0.4}
        self.llm = LLM(
            str(checkpoint),
            dtype=self.dtype,
            max_model_len=self.max_model_len,
            seed=self.seed,
            trust_remote_code=False,
            worker_extension_cls=EXTENSION,
            disable_log_stats=True,
            **(on_cpu if self.device == "cpu" else {}),
            **({"tensor_parallel_size": self.gpus} if self.gpus > 1 else {}),
        )
        self.tokenizer = self.llm.get_tokenizer()

    def _swap(self, checkpoint: Path) -> None:
        self.llm.collective_rpc("reload_weights", kwargs={"weights_path": str(checkpoint)})
        if self.refresh_head:
            self.llm.collective_rpc("bridgebench_refresh_output_head")
        self.llm.reset_prefix_cache()

    def _prove(self, checkpoint: Path, probe: Probe, previous: Probe | None) -> dict[str, Any]:
        if self.dtype == "float32":
            return prove(self.prompt_logprobs(probe.token_ids), probe, previous)
        found = self.llm.collective_rpc("bridgebench_checksums")[0]
        compared, wrong = checksums.compare(found, checkpoint, self.dtype)
        if wrong or not compared:
            raise SwapMismatch(f"{len(wrong)} of {compared} parameters are not the checkpoint's, e.g. {wrong[:3]}")
        return {"parameters_compared": compared}

    def prompt_logprobs(self, token_ids: list[int]) -> list[float]:
        """Natural-log probabilities of tokens 1 … T-1 given those before them."""
        from vllm import SamplingParams

        how = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        answer = self.llm.generate([{"prompt_token_ids": token_ids}], how, use_tqdm=False)[0]
        return [step[token].logprob for step, token in zip(answer.prompt_logprobs[1:], token_ids[1:], strict=True)]

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Generated]:
        """Complete all prompts as one batch."""
        from vllm import SamplingParams

        # a seed per request stops the CPU engine, so the worker's generator is seeded before each chunk
        self.llm.collective_rpc("bridgebench_seed", args=(seed,))
        self.llm.reset_prefix_cache()
        how = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            detokenize=False,
            stop_token_ids=self.stop_ids,
        )
        answers = self.llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], how, use_tqdm=False)
        return [self._generated(answer.outputs[0]) for answer in answers]

    def _generated(self, output: Any) -> Generated:
        token_ids = list(output.token_ids)
        if output.finish_reason == "stop" and token_ids and token_ids[-1] in self.stop_ids:
            token_ids.pop()
        return Generated(token_ids, output.finish_reason)

    def decode(self, token_ids: list[int], *, keep_special: bool) -> str:
        """Token ids → text."""
        text: str = self.tokenizer.decode(
            token_ids, skip_special_tokens=not keep_special, clean_up_tokenization_spaces=False
        )
        return text

    def score(self, prompts: list[list[int]], continuations: list[list[list[int]]]) -> list[list[float]]:
        """Log-probs of continuations as the engine assigns them to the tokens of a prompt: nothing is sampled."""
        from vllm import SamplingParams

        self.llm.reset_prefix_cache()
        how = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        texts = [
            {"prompt_token_ids": prompt + continuation}
            for prompt, own in zip(prompts, continuations, strict=True)
            for continuation in own
        ]
        answers = iter(self.llm.generate(texts, how, use_tqdm=False))
        return [[_tail_logprob(next(answers), continuation) for continuation in own] for own in continuations]

    def rewards(self, texts: list[list[int]]) -> list[float]:
        """Not offered: reward models are scored by transformers."""
        raise NotImplementedError


def _tail_logprob(answer: Any, continuation: list[int]) -> float:
    steps = answer.prompt_logprobs[-len(continuation) :]
    return float(sum(step[token].logprob for step, token in zip(steps, continuation, strict=True)))
