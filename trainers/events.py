"""Progress: JSON lines on stdout for a driver (TRAINERS_EVENTS=1), otherwise one line on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def progress(done: int, total: int, unit: str, **more: Any) -> None:
    """Report that ``done`` of ``total`` units are finished; ``more`` is measured along the way."""
    if os.environ.get("TRAINERS_EVENTS"):
        print(json.dumps({"event": "progress", "done": done, "total": total, "unit": unit, **more}), flush=True)
        return
    shown = " ".join(_readable(name, value) for name, value in more.items() if isinstance(value, float))
    end = "\n" if done >= total or not sys.stderr.isatty() else "\r"
    print(f"{unit} {done}/{total} {shown}", end=end, file=sys.stderr, flush=True)


def _readable(name: str, value: float) -> str:
    if name != "seconds_left":
        return f"{name} {value:.4g}"
    minutes, seconds = divmod(round(value), 60)
    return f"left {minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def say(text: str) -> None:
    """A line for the log."""
    print(text, file=sys.stderr, flush=True)
