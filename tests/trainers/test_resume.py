"""Resume states as files: an older one goes only when the newer is whole, and a torn one is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainers import resume
from trainers.distributed import World
from trainers.resume import ResumeState
from trainers.spec import ADAPTER


class Run:
    """A linear layer with an optimiser, and the states of its run."""

    def __init__(self, directory: Path) -> None:
        values = {"kind": "train", "output": "o", "model": "m", "data": "d", "learning_rate": 1e-3}
        self.states = ResumeState(directory, ADAPTER.validate_python(values), World("cpu"))
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.named = list(self.model.named_parameters())
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)

    def step(self) -> None:
        self.model(torch.ones(3)).sum().backward()
        self.optimizer.step()

    def write(self, step: int) -> None:
        self.states.write(step, self.named, self.optimizer, {"history": [{"step": step}]})

    def names(self) -> list[str]:
        return sorted(path.name for path in self.states.directory.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_what_was_written_is_what_is_read_weights_moments_and_progress(run: Run, tmp_path: Path) -> None:
    run.step()
    run.write(1)
    fresh = Run(tmp_path)
    assert fresh.states.read(fresh.named, fresh.optimizer) == (1, {"history": [{"step": 1}]})
    for (_, mine), (_, theirs) in zip(run.named, fresh.named, strict=True):
        assert torch.equal(mine, theirs)
        for field, value in run.optimizer.state[mine].items():
            assert torch.equal(value, fresh.optimizer.state[theirs][field]), field


@pytest.mark.parametrize("where", ["save_file", "flush"])
def test_the_older_state_stays_until_the_newer_one_is_whole_and_on_the_disk(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    run.step()
    run.write(1)
    older = run.states.directory / "step-00000001.safetensors"
    content = older.read_bytes()

    def fails(*arguments: Any) -> None:
        if where == "save_file":
            Path(arguments[1]).write_bytes(content[: len(content) // 2])  # the disk is full half-way
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(resume, where, fails)
        with pytest.raises(OSError, match="No space"):
            run.write(2)
    assert older.read_bytes() == content
    assert "step-00000002.safetensors" not in run.names()
    fresh = Run(tmp_path)
    assert fresh.states.read(fresh.named, fresh.optimizer)[0] == 1
    run.write(2)
    assert run.names() == ["step-00000002.safetensors"]  # the older one and the torn attempt are gone


@pytest.mark.parametrize("length", [0, 7, 200, -1])
def test_a_state_torn_at_any_place_is_passed_over_for_an_older_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], length: int
) -> None:
    run.step()
    run.write(1)
    whole = (run.states.directory / "step-00000001.safetensors").read_bytes()
    (run.states.directory / "step-00000002.safetensors").write_bytes(whole[:length])
    fresh = Run(tmp_path)
    assert fresh.states.read(fresh.named, fresh.optimizer)[0] == 1
    assert "step-00000002.safetensors is torn" in capsys.readouterr().err
