"""Which tokens earned the reward: the text of a response, each token coloured by its ``d_t``, as HTML, SVG and PNG.

Everything in it was written by a model: text is escaped, and characters that XML forbids are shown by code point.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

COLUMNS = 88
CELL, LINE = 7.2, 20  # a character's width and a line's height in an SVG, at 12 px of a monospaced font
POSITIVE, NEGATIVE = (12, 133, 153), (194, 65, 12)


@dataclass(frozen=True)
class Credit:
    """One response: its title and, per token, the text and the credit (d_t, or r_t)."""

    title: str
    tokens: list[tuple[str, float]]


def visible(text: str) -> str:
    """``text`` with line ends and characters that XML does not allow made visible."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "⏎"
    if character == "\t":
        return "⇥"
    if code < 32 or code == 127 or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF):
        return f"<{code:04x}>"
    return character


def scale(credits: list[Credit]) -> float:
    """The credit that gets the full colour: the largest in size, so that views beside each other can be compared."""
    return max((abs(value) for credit in credits for _, value in credit.tokens), default=0.0) or 1.0


def colour(value: float, largest: float) -> tuple[str, float]:
    """(rgb, opacity) of a credit: the sign decides the colour, the size how strong it is."""
    red, green, blue = POSITIVE if value >= 0 else NEGATIVE
    return f"rgb({red},{green},{blue})", round(0.75 * min(1.0, abs(value) / largest), 3)


def to_html(credits: list[Credit], heading: str) -> str:
    """A self-contained page; hovering a token tells its credit."""
    largest = scale(credits)
    body = "\n".join(_section(credit, largest) for credit in credits)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(heading)}</title>\n<style>body{{font:14px/1.7 system-ui,sans-serif;max-width:60rem;"
        "margin:2rem auto;padding:0 1rem;color:#1b1c1e}pre{white-space:pre-wrap;font:13px/1.8 ui-monospace,monospace}"
        "h2{font-size:1rem}</style></head>\n"
        f"<body><h1>{html.escape(heading)}</h1>\n<p>Token by token, d = log pi - log pi_0 in nats; full colour is "
        f"{largest:.2f}. Teal: likelier than under the reference; orange: less likely.</p>\n{body}\n</body></html>\n"
    )


def _section(credit: Credit, largest: float) -> str:
    total = sum(value for _, value in credit.tokens)
    spans = "".join(_span(text, value, largest) for text, value in credit.tokens)
    return f"<section><h2>{html.escape(visible(credit.title))} · sum {total:+.2f}</h2>\n<pre>{spans}</pre></section>"


def _span(text: str, value: float, largest: float) -> str:
    shade, opacity = colour(value, largest)
    background = shade.replace("rgb(", "rgba(").replace(")", f",{opacity})")
    shown = html.escape(visible(text)).replace("⏎", "⏎\n")
    return f'<span style="background:{background}" title="{value:+.3f}">{shown}</span>'


@dataclass(frozen=True)
class Cell:
    """A piece of a token that stands on one line."""

    line: int
    column: int
    text: str
    value: float


def layout(credit: Credit, columns: int = COLUMNS) -> list[Cell]:
    """Tokens set in lines of ``columns`` characters; a token that does not fit is broken."""
    cells = []
    line = column = 0
    for text, value in credit.tokens:
        for piece, ends in _pieces(visible(text)):
            while piece:
                room = columns - column
                if room == 0:
                    line, column = line + 1, 0
                    continue
                cells.append(Cell(line, column, piece[:room], value))
                column += len(piece[:room])
                piece = piece[room:]
            if ends:
                line, column = line + 1, 0
    return cells


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Parts of a token up to and with each line end, and whether a line ends there."""
    while "⏎" in text:
        head, _, text = text.partition("⏎")
        yield head + "⏎", True
    if text:
        yield text, False


def to_svg(credit: Credit, largest: float | None = None) -> str:
    """The response as a drawing of its own, to stand in a page."""
    largest = largest or scale([credit])
    cells = layout(credit)
    height = LINE * (max((cell.line for cell in cells), default=0) + 3)
    width = CELL * (COLUMNS + 2)
    total = sum(value for _, value in credit.tokens)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" role="img" font-size="12">',
        f'<text x="{CELL}" y="{LINE}" font-family="sans-serif" font-weight="bold">'
        f"{html.escape(visible(credit.title))} · sum {total:+.2f}</text>",
        *(_svg_cell(cell, largest) for cell in cells),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _svg_cell(cell: Cell, largest: float) -> str:
    x, y = CELL * (cell.column + 1), LINE * (cell.line + 2)
    width = CELL * len(cell.text)
    shade, opacity = colour(cell.value, largest)
    return (
        f'<g><title>{cell.value:+.3f}</title><rect x="{x:.1f}" y="{y - 14}" width="{width:.1f}" height="18" '
        f'fill="{shade}" fill-opacity="{opacity}"/><text x="{x:.1f}" y="{y}" font-family="monospace" '
        f'xml:space="preserve" textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(cell.text)}'
        "</text></g>"
    )


def draw(credits: list[Credit]) -> Any:
    """The responses as one matplotlib figure, for PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    largest = scale(credits)
    laid = [layout(credit) for credit in credits]
    lines = [max((cell.line for cell in cells), default=0) + 3 for cells in laid]
    figure = Figure(figsize=(COLUMNS * 0.084, 0.22 * sum(lines)))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(-1, COLUMNS + 1)
    axis.set_ylim(sum(lines), 0)
    axis.set_axis_off()
    top = 1
    for credit, cells, height in zip(credits, laid, lines, strict=True):
        axis.text(0, top, drawable(credit.title), fontsize=8, weight="bold", parse_math=False, va="center")
        for cell in cells:
            shade, opacity = colour(cell.value, largest)
            rgb = tuple(int(part) / 255 for part in shade[4:-1].split(","))
            y = top + 1 + cell.line
            axis.add_patch(
                Rectangle((cell.column, y - 0.45), len(cell.text), 0.9, color=rgb, alpha=opacity, linewidth=0)
            )
            for place, character in enumerate(drawable(cell.text)):
                axis.text(
                    cell.column + place,
                    y,
                    character,
                    fontsize=8,
                    family="DejaVu Sans Mono",
                    parse_math=False,
                    va="center",
                )
        top += height
    return figure


def drawable(text: str) -> str:
    """``text`` with what the drawing's font lacks shown as a box."""
    return "".join(character if _font().get_char_index(ord(character)) else "□" for character in visible(text))


@cache
def _font() -> Any:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    return FT2Font(font_manager.findfont("DejaVu Sans Mono"))


def write(credits: list[Credit], directory: Path, heading: str) -> list[Path]:
    """Write ``credit.html``, ``credit.png`` and one ``credit-N.svg`` per response."""
    from harness import files

    directory.mkdir(parents=True, exist_ok=True)
    largest = scale(credits)
    paths = [directory / "credit.html"]
    files.write_text(paths[0], to_html(credits, heading))
    for number, credit in enumerate(credits):
        paths.append(directory / f"credit-{number}.svg")
        files.write_text(paths[-1], to_svg(credit, largest))
    paths.append(directory / "credit.png")
    draw(credits).savefig(paths[-1], dpi=160, metadata={"Software": None})
    return paths
