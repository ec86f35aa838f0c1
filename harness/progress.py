"""What a user sees while a plan runs: one live display on a terminal, plain lines in a log, JSON events on request."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

from harness.stage import Stage


class Reporter(Protocol):
    """Receives what happens during a run."""

    def begin(self, recipe: str, total: int) -> None:
        """The plan has ``total`` stages."""

    def started(self, stage: Stage) -> None:
        """A stage begins."""

    def progress(self, stage: Stage, event: dict[str, Any]) -> None:
        """``event`` has ``done``, ``total``, ``unit`` and whatever else the stage measures."""

    def finished(self, stage: Stage, manifest: dict[str, Any]) -> None:
        """A stage was executed."""

    def reused(self, stage: Stage) -> None:
        """A stage was found done."""

    def failed(self, stage: Stage, why: str) -> None:
        """A stage broke."""

    def blocked(self, stage: Stage, cause: str) -> None:
        """A stage cannot run because ``cause`` failed."""

    def message(self, text: str) -> None:
        """Something else worth a line."""

    def end(self) -> None:
        """The run is over."""


MOST_BARS = 12  # an engine's stages all begin together


class LineReporter:
    """One line on stderr per stage, and every tenth of a long one."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.total = self.count = 0
        self.shown: dict[str, int] = {}

    def begin(self, recipe: str, total: int) -> None:
        """Remember the total."""
        self.total = total

    def started(self, stage: Stage) -> None:
        """Nothing: `finished` tells all."""

    def progress(self, stage: Stage, event: dict[str, Any]) -> None:
        """A line at each quarter."""
        done, total = event.get("done", 0), event.get("total") or 1
        quarter = int(4 * done / total)
        if total >= 8 and quarter > self.shown.get(stage.name, 0) and done < total:
            self.shown[stage.name] = quarter
            self._line(f"      {stage.kind:9} {stage.label}: {describe(event)}")

    def finished(self, stage: Stage, manifest: dict[str, Any]) -> None:
        """Count and time."""
        self.count += 1
        seconds = manifest.get("seconds", 0.0)
        self._line(f"[{self.count:>3}/{self.total}] {stage.kind:9} {stage.label} · {seconds:.1f} s · {stage.key}")

    def reused(self, stage: Stage) -> None:
        """Only counted."""
        self.count += 1

    def failed(self, stage: Stage, why: str) -> None:
        """The first line of the reason."""
        self.count += 1
        self._line(f"[{self.count:>3}/{self.total}] {stage.kind:9} {stage.label} · FAILED: {why.splitlines()[0]}")

    def blocked(self, stage: Stage, cause: str) -> None:
        """Counted and named."""
        self.count += 1
        self._line(f"[{self.count:>3}/{self.total}] {stage.kind:9} {stage.label} · held up by {cause}")

    def message(self, text: str) -> None:
        """As it is."""
        self._line(f"      {text}")

    def end(self) -> None:
        """Nothing to close."""

    def _line(self, text: str) -> None:
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


class JsonReporter:
    """One JSON object a line on stderr; stdout is for results."""

    def begin(self, recipe: str, total: int) -> None:
        """``{"event": "begin"}``."""
        self._emit("begin", recipe=recipe, total=total)

    def started(self, stage: Stage) -> None:
        """``{"event": "started"}``."""
        self._emit("started", stage=stage.name, label=stage.label)

    def progress(self, stage: Stage, event: dict[str, Any]) -> None:
        """The stage's own event with its name."""
        measured = {name: value for name, value in event.items() if name not in ("event", "stage")}
        self._emit("progress", stage=stage.name, **measured)

    def finished(self, stage: Stage, manifest: dict[str, Any]) -> None:
        """``{"event": "finished"}``."""
        self._emit("finished", stage=stage.name, label=stage.label, seconds=manifest.get("seconds"))

    def reused(self, stage: Stage) -> None:
        """``{"event": "reused"}``."""
        self._emit("reused", stage=stage.name, label=stage.label)

    def failed(self, stage: Stage, why: str) -> None:
        """``{"event": "failed"}``."""
        self._emit("failed", stage=stage.name, label=stage.label, why=why)

    def blocked(self, stage: Stage, cause: str) -> None:
        """``{"event": "blocked"}``."""
        self._emit("blocked", stage=stage.name, label=stage.label, cause=cause)

    def message(self, text: str) -> None:
        """``{"event": "message"}``."""
        self._emit("message", text=text)

    def end(self) -> None:
        """``{"event": "end"}``."""
        self._emit("end")

    def _emit(self, event: str, **more: Any) -> None:
        print(
            json.dumps({"event": event, **more}),
            file=sys.stderr,
            flush=True,
        )


class LiveReporter(LineReporter):
    """A terminal's display: finished stages scroll by, and below them a bar for all and one a running stage."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.display = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        self.all_stages: Any = None
        self.bars: dict[str, Any] = {}

    def begin(self, recipe: str, total: int) -> None:
        """Show the bars."""
        super().begin(recipe, total)
        self.all_stages = self.display.add_task(recipe, total=total, note="")
        self.display.start()

    def started(self, stage: Stage) -> None:
        """Give the stage a bar, if there is room."""
        if stage.name not in self.bars and len(self.bars) < MOST_BARS:
            self.bars[stage.name] = self.display.add_task(f"{stage.kind} {stage.label}", total=None, note="")

    def progress(self, stage: Stage, event: dict[str, Any]) -> None:
        """Move the stage's bar."""
        self.started(stage)
        if stage.name in self.bars:
            note = describe(event, with_count=False)
            moved = {"completed": event["done"], "total": event.get("total")} if "done" in event else {}
            self.display.update(self.bars[stage.name], note=note, **moved)

    def finished(self, stage: Stage, manifest: dict[str, Any]) -> None:
        """Take the stage's bar away."""
        self._take(stage)
        super().finished(stage, manifest)

    def failed(self, stage: Stage, why: str) -> None:
        """Take the stage's bar away."""
        self._take(stage)
        super().failed(stage, why)

    def _take(self, stage: Stage) -> None:
        if (bar := self.bars.pop(stage.name, None)) is not None:
            self.display.remove_task(bar)

    def reused(self, stage: Stage) -> None:
        """Move the bar of all stages."""
        super().reused(stage)
        self.display.update(self.all_stages, completed=self.count)

    def end(self) -> None:
        """Take the bars away."""
        self.display.stop()

    def _line(self, text: str) -> None:
        self.display.console.print(text, markup=False, highlight=False, soft_wrap=True)
        if self.all_stages is not None:
            self.display.update(self.all_stages, completed=self.count)


def describe(event: dict[str, Any], *, with_count: bool = True) -> str:
    """``step 20/25 · loss 1.234 · 712 tokens/s``."""
    parts = [f"{event.get('unit', '')} {event.get('done')}/{event.get('total')}".strip()] if with_count else []
    if event.get("node"):
        parts = [f"node {event['node'][:8]}"]
    if isinstance(event.get("loss"), float):
        parts.append(f"loss {event['loss']:.3f}")
    if event.get("tokens_per_second"):
        parts.append(f"{event['tokens_per_second']:.0f} tokens/s")
    if event.get("tokens"):
        parts.append(f"{event['tokens']:,} tokens")
    if event.get("money") is not None:
        parts.append(f"{event['money']:.4f} {event.get('currency') or ''}".strip())
    return " · ".join(parts)


def choose(*, as_json: bool, quiet: bool) -> Reporter:
    """The reporter that fits where stderr goes."""
    if as_json:
        return JsonReporter()
    return LiveReporter() if sys.stderr.isatty() and not quiet else LineReporter(quiet)
