"""The pictures of analyses: both formats, well-formed, the same bytes each time, and nothing of a model's runs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis import credit, figures, pictures
from harness.analysis.credit import Credit
from harness.analysis.measure import Result
from harness.leaderboard import plots

HOSTILE = "</text><script>alert(1)</script>&$x^2$"


def points(n: int, **more: Any) -> list[dict[str, Any]]:
    return [{"place": p, "estimate": p / 2, "low": p / 2 - 1, "high": p / 2 + 1, **more} for p in range(-1, n)]


FIGURES: dict[str, Callable[[], Any]] = {
    "trajectories": lambda: figures.value_trajectories(
        {name: {"good": points(4), "corrupted": points(3)} for name in ("a", HOSTILE, "c", "d")}
    ),
    "margins": lambda: figures.margin_distributions(
        {"edges": [-3.0, -1.0, 0.0, 1.0], "counts": {HOSTILE: [1, 0, 2], "b": [0, 0, 3]}}, {HOSTILE: -0.9, "b": 1.0}
    ),
    "drift": lambda: plots.drift_against_rate(
        [
            {"row": HOSTILE, "stage": "none", "kl": 1.0, "kl_low": 0.5, "kl_high": 2.0, "rate": 50.0},
            {"row": "b", "stage": "dpo", "kl": 3, "rate": 60.0, "rate_low": 55.0, "rate_high": 70.0},
        ]
    ),
    "sweep": lambda: plots.sweep_curves(
        [
            {"series": name, "stage": stage, "learning_rate": rate, "value": 1e6 * rate, "low": None, "high": None}
            for name in (HOSTILE, "sft")
            for stage in ("none", "dpo")
            for rate in (1e-4, 1e-5)
        ]
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_as_svg_and_png_the_same_each_time(tmp_path: Path, name: str) -> None:
    first = figures.save(FIGURES[name](), tmp_path / "1", name)
    second = figures.save(FIGURES[name](), tmp_path / "2", name)
    assert [path.name for path in first] == [f"{name}.svg", f"{name}.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    tags = {element.tag.rpartition("}")[2] for element in ET.parse(first[0]).iter()}
    assert "script" not in tags
    assert first[1].read_bytes().startswith(b"\x89PNG")


def credits() -> list[Credit]:
    long = [(f"word{n} ", n / 10) for n in range(40)]
    return [
        Credit(HOSTILE, [(HOSTILE, 1.0), ("a\n", -2.0), ("\x00\ud800\x1b", 0.0), ("日本", 0.5), ("\t", 0.1)]),
        Credit("long", long),
    ]


def test_the_coloured_view_escapes_what_a_model_wrote(tmp_path: Path) -> None:
    paths = credit.write(credits(), tmp_path, f"credit of {HOSTILE}")
    assert [path.name for path in paths] == ["credit.html", "credit-0.svg", "credit-1.svg", "credit.png"]
    page = paths[0].read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    for path in paths[1:3]:
        root = ET.parse(path).getroot()
        assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "g", "title", "rect", "text"}
    texts = [element.text for element in ET.parse(paths[1]).iter("{http://www.w3.org/2000/svg}text")]
    assert "".join(str(text) for text in texts[1:]) == credit.visible("".join(text for text, _ in credits()[0].tokens))
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_tokens_are_set_in_lines_without_losing_a_character() -> None:
    for each in credits():
        cells = credit.layout(each)
        assert "".join(cell.text for cell in cells) == credit.visible("".join(text for text, _ in each.tokens))
        assert all(cell.column + len(cell.text) <= credit.COLUMNS for cell in cells)
        assert len({(cell.line, cell.column) for cell in cells}) == len(cells)


def test_the_colour_tells_sign_and_size() -> None:
    assert credit.colour(2.0, 2.0)[1] == credit.colour(-2.0, 2.0)[1] > credit.colour(1.0, 2.0)[1] > 0
    assert credit.colour(1.0, 2.0)[0] != credit.colour(-1.0, 2.0)[0]
    assert credit.colour(0.0, 2.0)[1] == 0


def drift_row(name: str, rate: float, stage: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("objective", "divergence", "form", "beta"))
    row |= {"row": name, "learning_rate": rate, "preference_stage": stage, "objective": "sft"}
    row["kl"] = {"estimate": 1.0, "low": 0.5, "high": 1.5}
    return {**row, "board": {"win_rate": 60.0, "win_rate_low": 50.0, "win_rate_high": 70.0, "pass_rate": None}}


def test_drift_is_drawn_against_the_boards_win_rate_and_learning_rates_as_curves(tmp_path: Path) -> None:
    rows = [drift_row("a", 1e-4, "none"), drift_row("b", 1e-5, "none"), drift_row("a+dpo", 1e-4, "dpo")]
    written = pictures.write(Result({"analysis": "drift", "rows": rows}), tmp_path)
    names = ["drift-win-rate.svg", "drift-win-rate.png", "sweep-win-rate.svg", "sweep-win-rate.png"]
    assert [path.name for path in written] == names
    without = [{**row, "board": None} for row in rows]
    assert pictures.write(Result({"analysis": "drift", "rows": without}), tmp_path) == []
