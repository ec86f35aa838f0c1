"""V along a response: before and behind the place where a corrupted continuation leaves the good one."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis import summaries

Line = dict[str, Any]
REACH = 12
FEWEST = 10


def aligned(lines: list[Line], pairs: list[Line], *, reach: int = REACH) -> dict[str, list[dict[str, Any]]]:
    """``{"good": points, "corrupted": points}``: mean V by place relative to the first differing token.

    Place 0 is the state before it (both sides share it and all before), 1 the first state that has seen it. Places that
    fewer than `FEWEST` examples reach are left out.
    """
    return {
        name: _points([(lines[pair[side]], pair) for pair in pairs], reach)
        for name, side in (("good", "good"), ("corrupted", "bad"))
    }


def _points(sides: list[tuple[Line, Line]], reach: int) -> list[dict[str, Any]]:
    points = []
    for place in range(-reach, reach + 1):
        seen = [
            (line["value"][pair["start"] + place], pair["id"])
            for line, pair in sides
            # the value behind an end-of-turn token is 0 by definition and says nothing
            if 0 <= pair["start"] + place < len(line["value"]) - 1
        ]
        if len({row for _, row in seen}) >= FEWEST:
            values = np.array([value for value, _ in seen])
            points.append({"place": place, **summaries.mean(values, np.array([row for _, row in seen]))})
    return points


def state_values(lines: list[Line], pairs: list[Line], name: str = "value") -> list[np.ndarray]:
    """(T_i,) values at s_0 … s_{T-1} of every good response, once each; s_T is 0 by definition or never acted in."""
    good = sorted({pair["good"] for pair in pairs})
    return [np.array(lines[number][name][:-1]) for number in good]
