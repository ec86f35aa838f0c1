"""Where a value lies on a chart: scales, ticks and paths. Across in percent of the width, down in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.leaderboard import display

Limits = tuple[float, float]

LEFT, RIGHT = 10.0, 96.0  # percent of the width
TOP = 12.0  # pixels


@dataclass(frozen=True)
class Scale:
    """From ``low`` to ``high``, linear or logarithmic, onto ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values between the ends; the powers of ten and their 2 and 5 on a logarithmic scale."""
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high, about)


def across(values: Iterable[float], log: bool = False, margin: float = 0.06) -> Scale:
    """A horizontal scale around ``values``."""
    low, high = _padded(values, log, margin)
    return Scale(low, high, LEFT, RIGHT, log)


def down(
    values: Iterable[float], height: float, margin: float = 0.08, limits: tuple[float, float] | None = None
) -> Scale:
    """A vertical scale, larger values higher up; within ``limits`` where given."""
    low, high = _padded(values, False, margin)
    if limits:
        low, high = max(low, limits[0]), min(high, limits[1])
    return Scale(low, high, height, TOP)


def _padded(values: Iterable[float], log: bool, margin: float) -> tuple[float, float]:
    found = sorted(values)
    low, high = found[0], found[-1]
    if log:
        factor = (high / low) ** margin if high > low else 2.0
        return low / factor, high * factor
    room = (high - low) * margin or abs(low) * 0.1 or 0.5
    return low - room, high + room


def _linear_ticks(low: float, high: float, about: int) -> list[float]:
    if high <= low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in found if low <= value <= high]


def x_ticks(scale: Scale) -> list[dict[str, str]]:
    """Ticks of a horizontal scale as the template draws them."""
    return [{"at": f"{scale.at(value)}%", "text": display.tick(value)} for value in scale.ticks()]


def y_ticks(scale: Scale, about: int = 4) -> list[dict[str, str]]:
    """Ticks of a vertical scale as the template draws them."""
    return [{"at": f"{scale.at(value)}", "text": display.tick(value)} for value in scale.ticks(about)]


def path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """An SVG path in a box 1000 wide; a gap where a value is not finite."""
    steps, pen = [], "M"
    for across_value, down_value in points:
        if not math.isfinite(down_value):
            pen = "M"
            continue
        steps.append(f"{pen}{10 * x.at(across_value):.1f} {y.at(down_value):.1f}")
        pen = "L"
    return "".join(steps)
