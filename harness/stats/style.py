"""Style of answers as covariates, as Arena-Hard's style control has them: length and markdown per length.

    (t_m - t_b) / (t_m + t_b)                 t: tokens
    (d_m - d_b) / (d_m + d_b + 1)             d: headers, lists, bold, each per token

z-scored over all battles (mean, standard deviation with ddof 1), so that a model's strength is its strength at the
battles' average difference of style.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

NAMES = ("length", "headers", "lists", "bold")

_CODE = re.compile(r"```.*?```", re.DOTALL)
_HEADERS = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LISTS = re.compile(r"^\s*(?:\d+\.|[-*+])\s", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


@dataclass(frozen=True)
class Style:
    """Counts of one answer; code blocks have no markdown."""

    tokens: int
    headers: int
    lists: int
    bold: int


def style(text: str, tokens: int | None = None) -> Style:
    """Counts of an answer. Without its number of ``tokens`` (which depends on a tokeniser) words are counted."""
    plain = _CODE.sub("", text)
    counts = (len(pattern.findall(plain)) for pattern in (_HEADERS, _LISTS, _BOLD))
    return Style(len(text.split()) if tokens is None else tokens, *counts)


def covariates(model: list[Style], baseline: list[Style]) -> Array:
    """(n_battles, 4) z-scored features of each battle, model against baseline.

    A feature that does not vary is zero. An empty answer has no densities, which count as zero.
    """
    own, other = (np.array([_densities(one) for one in side]) for side in (model, baseline))
    raw = own - other
    raw[:, 0] /= np.maximum(own[:, 0] + other[:, 0], 1)
    raw[:, 1:] /= own[:, 1:] + other[:, 1:] + 1
    deviation = raw.std(0, ddof=1)
    varies = deviation > 0
    scaled: Array = np.where(varies, (raw - raw.mean(0)) / np.where(varies, deviation, 1), 0.0)
    return scaled


def _densities(one: Style) -> tuple[float, float, float, float]:
    tokens = max(one.tokens, 1)
    return float(one.tokens), one.headers / tokens, one.lists / tokens, one.bold / tokens
