"""The colours of plots for documents, on a light and on a dark page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours of a plot; ``dots`` by preference stage, in order of appearance, after the baseline's."""

    background: str
    text: str
    muted: str
    grid: str
    baseline: str
    dots: tuple[str, ...]


LIGHT = Theme("#ffffff", "#1b1c1e", "#6a6d75", "#e4e5e8", "#85888f", ("#0c8599", "#4c5fd5", "#c2410c", "#7e22ce"))
DARK = Theme("#131417", "#e8e9eb", "#9b9ea7", "#2b2d33", "#8b8f98", ("#3bc9db", "#91a1ff", "#fb923c", "#d8b4fe"))
