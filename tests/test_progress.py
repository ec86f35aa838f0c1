from __future__ import annotations

import json

import pytest

from harness.progress import JsonReporter
from harness.stage import Stage


def test_a_stages_own_progress_becomes_one_json_event_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage("train", "sft", {})
    JsonReporter().progress(stage, {"event": "progress", "done": 3, "total": 8, "unit": "step", "loss": 0.5})
    printed = capsys.readouterr()
    assert printed.out == ""
    expected = {"event": "progress", "stage": stage.name, "done": 3, "total": 8, "unit": "step", "loss": 0.5}
    assert json.loads(printed.err) == expected
