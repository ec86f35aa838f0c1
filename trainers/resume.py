"""The resume state of a run under way: weights and optimiser state in ``state/step-N.safetensors``.

Everything else that the next step needs follows from the step number: data order, schedule and random rounding are
functions of it. A file gets its name when it is whole and on the disk, and only then the older one goes. So a torn file
is damage from outside: it is passed over, aloud, for an older one or the beginning. A file of other settings is another
run's work: nothing is touched and the run refuses to start.
"""

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
from torch import Tensor

from trainers import events
from trainers.distributed import World, like, whole
from trainers.errors import INTEGRITY, TrainerError
from trainers.output import spec_digest
from trainers.spec import Common, identity

Named = list[tuple[str, Tensor]]
AUTO_SHARE = 20  # `auto` writes when this many times the last write's cost has passed


class ResumeState:
    """Reads and writes the states of one run."""

    def __init__(self, directory: Path, spec: Common, world: World) -> None:
        self.directory, self.world = directory / "state", world
        self.digest, self.settings = spec_digest(spec), json.dumps(identity(spec), sort_keys=True)
        self.last_write = time.monotonic()
        self.cost = 0.0

    def due(self, step: int, every: int | str) -> bool:
        """Whether to write after ``step``. ``auto`` costs a twentieth of the time."""
        if every != "auto":
            return step % int(every) == 0
        waited = time.monotonic() - self.last_write > AUTO_SHARE * max(self.cost, 0.5)
        return bool(self.world.largest(int(waited)))

    def write(self, step: int, parameters: Named, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
        """Keep the state after ``step`` steps."""
        begin = time.monotonic()
        tensors = flatten(parameters, optimizer)
        if self.world.writes:
            self._write(step, tensors, progress)
        self.world.wait()
        self.last_write = time.monotonic()
        self.cost = self.last_write - begin

    def _write(self, step: int, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"step-{step:08d}.safetensors"
        temporary = path.with_suffix(".tmp")
        metadata = {"step": str(step), "digest": self.digest, "settings": self.settings, **surroundings()}
        save_file(tensors, temporary, metadata | {"progress": json.dumps(progress)})
        flush(temporary)
        temporary.replace(path)
        flush(self.directory)
        for older in self.directory.iterdir():
            if older != path:
                older.unlink()

    def read(self, parameters: Named, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
        """Restore the newest whole state; (0, {}) if there is none. Raises TrainerError for another run's."""
        for path in sorted(self.directory.glob("step-*.safetensors"), reverse=True):
            try:
                with safe_open(path, framework="pt") as handle:
                    metadata = handle.metadata() or {}
                    self._require_own(path, metadata)
                    tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                self._say(f"{path} is torn ({str(error).splitlines()[0]}); it is not used")
                continue
            restore(parameters, optimizer, tensors)
            self._tell_surroundings(metadata)
            return int(metadata["step"]), json.loads(metadata["progress"])
        return 0, {}

    def _require_own(self, path: Path, metadata: dict[str, str]) -> None:
        if metadata.get("digest") == self.digest:
            return
        theirs, ours = json.loads(metadata.get("settings", "{}")), json.loads(self.settings)
        differing = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
        raise TrainerError(
            f"{path} belongs to another run; it differs in {', '.join(differing) or 'an unknown setting'}.",
            f"continue that run with its own spec, choose another output, or remove {self.directory}",
            INTEGRITY,
        )

    def _tell_surroundings(self, metadata: dict[str, str]) -> None:
        now = surroundings()
        changed = [
            f"{name} {metadata.get(name)} → {value}" for name, value in now.items() if metadata.get(name) != value
        ]
        if changed:
            self._say(f"continuing elsewhere ({', '.join(changed)}): the last bits may differ from an unbroken run's")

    def _say(self, text: str) -> None:
        if self.world.writes:
            events.say(text)

    def remove(self) -> None:
        """The run is finished: nothing needs the state any more."""
        if self.world.writes:
            shutil.rmtree(self.directory, ignore_errors=True)


def surroundings() -> dict[str, str]:
    """What besides the spec decides the last bits."""
    return {"torch": torch.__version__, "threads": str(torch.get_num_threads())}


def flush(path: Path) -> None:
    """Make a file, or the names in a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flatten(parameters: Named, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Whole tensors of weights and optimiser state by ``field/name``; every process must ask."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters:
        fields = {"weight": parameter.detach(), **optimizer.state.get(parameter, {})}
        tensors |= {f"{field}/{name}": whole(value).contiguous() for field, value in fields.items()}
    return tensors


@torch.no_grad()
def restore(parameters: Named, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `flatten` gave."""
    for name, parameter in parameters:
        parameter.copy_(like(tensors[f"weight/{name}"], parameter))
        state = {
            key.partition("/")[0]: like(value, parameter) if value.dim() else value
            for key, value in tensors.items()
            if key.partition("/")[2] == name and not key.startswith("weight/")
        }
        if state:
            optimizer.state[parameter] = state
