"""Checkpoints: reading them safely, writing them whole, and the resume state of a run under way."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainers import events, lean, packing
from trainers.errors import ENVIRONMENT, INTEGRITY, TrainerError

# everything of a checkpoint but its weights; copied from the checkpoint a run starts from
COMPANIONS = ("*.json", "*.jinja", "*.model", "*.txt")
NOT_COMPANIONS = ("manifest.json", "probe.json", "model.safetensors.index.json", "config.json")


def load_model(checkpoint: Path, dtype: torch.dtype, device: str, *, packed: bool = False) -> Any:
    """A causal language model without dropout; ``packed`` gives it the attention for packed microbatches.

    Raises TrainerError for what is not a loadable safetensors checkpoint.
    """
    from transformers import AutoModelForCausalLM

    require_checkpoint(checkpoint)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint,
            dtype=dtype,
            attn_implementation=packing.register() if packed else "sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise TrainerError(
            f"the checkpoint {checkpoint} cannot be loaded: {_first_line(error)}", exit_code=INTEGRITY
        ) from None
    model = model.to(device).eval()
    return lean.slim(model) if packed else model


def load_tokenizer(checkpoint: Path) -> Any:
    """The checkpoint's tokenizer. Raises TrainerError."""
    from transformers import AutoTokenizer

    require_checkpoint(checkpoint)
    try:
        return AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise TrainerError(f"the tokenizer in {checkpoint} cannot be loaded: {_first_line(error)}") from None


def require_checkpoint(checkpoint: Path) -> None:
    """Raise TrainerError unless ``checkpoint`` looks like a safetensors checkpoint."""
    if not (checkpoint / "config.json").is_file():
        raise TrainerError(f"{checkpoint} is no checkpoint: config.json is missing.")
    if not any(checkpoint.glob("*.safetensors")):
        raise TrainerError(f"{checkpoint} holds no safetensors weights; pickled weights are not loaded.")


def stop_token_ids(checkpoint: Path) -> list[int]:
    """The ids that end a turn, from generation_config.json (config.json if that names none). Raises TrainerError."""
    for name in ("generation_config.json", "config.json"):
        path = checkpoint / name
        named = json.loads(path.read_text("utf-8")).get("eos_token_id") if path.exists() else None
        if named is not None:
            return list(named) if isinstance(named, list) else [int(named)]
    raise TrainerError(f"{checkpoint} names no end-of-turn token.", "add eos_token_id to its generation_config.json")


def save_checkpoint(model: Any, source: Path, target: Path, dtype: torch.dtype) -> None:
    """Write ``model`` in ``dtype`` with the tokenizer, template and generation settings of ``source``; whole or not at
    all.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    copy_companions(source, temporary)
    state = {name: tensor.to(dtype) for name, tensor in model.state_dict().items()}
    before = model.config.dtype
    model.config.dtype = dtype
    try:
        model.save_pretrained(temporary, state_dict=state)
    finally:
        model.config.dtype = before
    # settings of the source win over what save_pretrained makes of them: sampling defaults and end tokens stay as
    # they were
    copy_companions(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)


def copy_companions(source: Path, target: Path) -> None:
    """Copy tokenizer, template and generation settings."""
    for pattern in COMPANIONS:
        for path in source.glob(pattern):
            if path.name not in NOT_COMPANIONS:
                shutil.copyfile(path, target / path.name)


class ResumeState:
    """Weights and optimiser state of a run under way, in ``state/step-N.safetensors``.

    Everything else that the next step needs follows from the step number: the data order and the schedule are
    functions of it,
    and training draws no random numbers. The oldest file goes only after the newest is complete.
    """

    def __init__(self, directory: Path, digest: str) -> None:
        self.directory, self.digest = directory / "state", digest
        self.last_write = time.monotonic()
        self.cost = 0.0

    def due(self, step: int, every: int | str) -> bool:
        """Whether to write after ``step``. ``auto``: when ten times the last write's cost has passed, so it costs a
        tenth.
        """
        if every != "auto":
            return step % int(every) == 0
        return time.monotonic() - self.last_write > 20 * max(self.cost, 0.5)

    def write(self, step: int, model: Any, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep the state after ``step`` steps."""
        begin = time.monotonic()
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step-{step:08d}.safetensors"
        temporary = path.with_suffix(".tmp")
        metadata = {"step": str(step), "digest": self.digest, "progress": json.dumps(progress)}
        save_file(_flatten(model, optimizer), temporary, metadata)
        temporary.replace(path)
        for older in self.directory.iterdir():
            if older != path:
                older.unlink()
        self.last_write = time.monotonic()
        self.cost = self.last_write - begin

    def read(self, model: Any, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
        """Restore the newest whole state; (0, {}) if there is none. A torn or foreign file is refused with a
        message.
        """
        for path in sorted(self.directory.glob("step-*.safetensors"), reverse=True):
            try:
                with safe_open(path, framework="pt") as handle:
                    metadata = handle.metadata() or {}
                    if metadata.get("digest") != self.digest:
                        events.say(f"{path} belongs to another run; it is not used")
                        continue
                    tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                events.say(f"{path} is torn ({_first_line(error)}); it is not used")
                continue
            _restore(model, optimizer, tensors)
            return int(metadata["step"]), json.loads(metadata["progress"])
        return 0, {}

    def remove(self) -> None:
        """The run is finished: nothing needs the state any more."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _flatten(model: Any, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight/{name}"] = parameter.data
        for field, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{field}/{name}"] = value
    return tensors


@torch.no_grad()
def _restore(model: Any, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"weight/{name}"])
        state = {
            key.partition("/")[0]: value.to(parameter.device) if value.dim() else value
            for key, value in tensors.items()
            if key.partition("/")[2] == name and not key.startswith("weight/")
        }
        if state:
            optimizer.state[parameter] = state


def choose_device(wanted: str) -> str:
    """``auto`` → cuda where there is one. Raises TrainerError for a device that is missing."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise TrainerError("there is no CUDA device here.", 'set "device": "cpu"', ENVIRONMENT)
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def set_threads(threads: int | None) -> None:
    """Use ``threads`` threads, or as many as this process may."""
    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
