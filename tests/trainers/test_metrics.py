"""TensorBoard's files: the numbers of metrics.jsonl, without the steps that a killed run lost."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainers.test_training import train_spec, write_spec
from trainers import loop
from trainers.__main__ import main
from trainers.spec import ADAPTER


def events(folder: Path) -> Iterator[Any]:
    """Every event of a folder's files in the order of writing: length (8 bytes), checksum (4), event, checksum (4)."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            yield Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [
        (event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if value.tag == name
    ]


def metrics(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_tensorboard_shows_what_metrics_jsonl_says_held_out_loss_included(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, run_spec: Any
) -> None:
    pytest.importorskip("tensorboardX")
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path, epochs=2, eval_data=str(sft_data), eval_every=2)
    out = run_spec(**{**spec, "output": tmp_path / "out", "tensorboard": True})
    rows = metrics(out)
    assert len(rows) == 4
    for name in ("loss", "eval_loss", "learning_rate", "surviving_updates"):
        expected = [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows if name in row]
        assert curve(out / "tensorboard", name) == expected, name
    assert not any("tensorboard" in name for name in json.loads((out / "manifest.json").read_text())["files"])


def test_a_resumed_run_tells_tensorboard_which_steps_were_lost(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX")
    spec = ADAPTER.validate_python(train_spec(tiny_checkpoint, sft_data, tmp_path, epochs=2, tensorboard=True))
    killed = loop.Trainer(spec, tmp_path)
    killed.metrics.restart([])
    for step in range(2):
        killed._step(step)
    killed.resume.write(2, killed.parameters, killed.optimizer, {"history": killed.history})
    killed._step(2)  # written, and lost with the process
    killed.metrics.close()
    loop.Trainer(spec, tmp_path).fit()
    assert [step for step, _ in curve(tmp_path / "tensorboard", "loss")] == [1, 2, 3, 3, 4]
    starts = [event.step for event in events(tmp_path / "tensorboard") if event.session_log.status == 1]
    assert starts[-1] == 3  # TensorBoard hides what the first process said of step 3


def test_without_the_package_tensorboard_is_refused_before_training_and_says_what_to_install(
    tiny_checkpoint: Path, sft_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name in ("torch.utils.tensorboard", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = train_spec(tiny_checkpoint, sft_data, tmp_path / "out", tensorboard=True)
    assert main([str(write_spec(tmp_path / "spec.json", spec))]) == 3
    said = capsys.readouterr().err
    assert "needs the package tensorboard" in said
    assert "bridgebench[tensorboard]" in said
    assert not (tmp_path / "out").exists()
