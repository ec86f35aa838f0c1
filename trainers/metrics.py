"""What a run says of itself: ``metrics.jsonl``, one line a step, written as it goes; progress; TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainers import events
from trainers.errors import ENVIRONMENT, TrainerError
from trainers.output import write_jsonl

FILE = "metrics.jsonl"
MEANS = ("surviving_updates", "applied_over_intended", "tangent_rate")


class Metrics:
    """The rows of all steps so far, in memory and on disk. A process that ``writes`` nothing only remembers."""

    def __init__(self, directory: Path, steps: int, writes: bool, tensorboard: bool) -> None:
        self.path, self.steps, self.writes = directory / FILE, steps, writes
        self.rows: list[dict[str, Any]] = []
        self.writer = board_writer() if tensorboard and writes else None
        self.board: Any = None

    def restart(self, rows: list[dict[str, Any]]) -> None:
        """Begin with ``rows``; what a killed run wrote after its last state is written again by the steps to come."""
        self.rows = rows
        if self.writes:
            write_jsonl(self.path, rows)
        if self.writer is not None:
            lost_from = rows[-1]["step"] + 1 if rows else None
            folder, suffix = str(self.path.parent / "tensorboard"), f".{lost_from or 1}"
            # names hold the second alone: a run that continues within it would write over the killed one's file
            self.board = self.writer(folder, purge_step=lost_from, filename_suffix=suffix)

    def add(self, row: dict[str, Any]) -> None:
        """One step's row."""
        self.rows.append(row)
        if not self.writes:
            return
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._progress(row)
        if self.board is not None:
            for name, value in row.items():
                if name != "step":
                    self.board.add_scalar(name, value, row["step"])

    def _progress(self, row: dict[str, Any]) -> None:
        recent = self.rows[-20:]
        pace = sum(each["seconds"] for each in recent) / len(recent)
        shown = {"loss": row["loss"], "tokens_per_second": row["tokens"] / row["seconds"]}
        events.progress(row["step"], self.steps, "step", **shown, seconds_left=pace * (self.steps - row["step"]))

    def close(self) -> None:
        """No row follows in this process."""
        if self.board is not None:
            self.board.close()

    def summary(self) -> dict[str, Any]:
        """Totals and means over the run."""
        seconds, tokens = (sum(row[name] for row in self.rows) for name in ("seconds", "tokens"))
        summary = {
            "steps": len(self.rows),
            "tokens": tokens,
            "step_seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "first_loss": self.rows[0]["loss"],
            "final_loss": self.rows[-1]["loss"],
        }
        for name in MEANS:
            values = [row[name] for row in self.rows if name in row]
            if values:
                summary[name] = sum(values) / len(values)
        if "std_d" in self.rows[0]:
            summary["std_d_at_step_0"] = self.rows[0]["std_d"]
        held_out = [row["eval_loss"] for row in self.rows if "eval_loss" in row]
        return summary | ({"final_eval_loss": held_out[-1]} if held_out else {})


def board_writer() -> Any:
    """The class that writes TensorBoard's files, torch's own or tensorboardX's. Raises TrainerError without either."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        try:
            from tensorboardX import SummaryWriter  # type: ignore[no-redef]
        except ImportError:
            raise TrainerError(
                "tensorboard: true needs the package tensorboard (or tensorboardX), which is not installed.",
                'pip install "bridgebench[tensorboard]", or leave it out: metrics.jsonl is always written',
                ENVIRONMENT,
            ) from None
    return SummaryWriter
