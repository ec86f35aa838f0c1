"""Numbers and texts as they are shown: rounded here and nowhere else."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from functools import lru_cache
from typing import Any

NOTHING = "–"
MOST_SHOWN = 20_000


def rate(value: float | None) -> str:
    """``71.3`` for a rate on 0 to 100."""
    return NOTHING if value is None else f"{value:.1f}"


def interval(low: float | None, high: float | None) -> str:
    """``65.9–76.2``, or nothing at all where there is none or it is a point (the baseline's win rate)."""
    return "" if low is None or high is None or low == high else f"{low:.1f}–{high:.1f}"


def signed(value: float | None) -> str:
    """``+3.1``, ``−3.1`` or ``0.0`` points."""
    if value is None:
        return NOTHING
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def whole(value: float | None) -> str:
    """A count or a length without decimals, thousands separated."""
    return NOTHING if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """``48 s``, ``12.5 min`` or ``3.4 h``."""
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def p_value(value: float | None) -> str:
    """``0.031``, or ``< 0.001``."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def short(value: Any) -> str:
    """A setting as a person would write it: ``1e-4``, ``0.3``, ``pearson_chi2``."""
    if isinstance(value, float):
        text = f"{value:g}"
        return re.sub(r"e([+-])0*(\d+)$", r"e\1\2", text) if value >= 1e-3 or value == 0 else _scientific(value)
    return str(value)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def settings(row: dict[str, Any]) -> str:
    """How the row was trained, in one line."""
    found = []
    if row.get("divergence"):
        alpha = f" {short(row['alpha'])}" if row.get("alpha") is not None else ""
        found.append(str(row["divergence"]).replace("_", " ") + alpha)
    elif row.get("objective"):
        found.append({"sft": "SFT", "f_sft": "f-SFT"}.get(str(row["objective"]), str(row["objective"])))
    if row.get("form") not in (None, "token"):
        found.append(str(row["form"]).replace("_", " "))
    if row.get("beta") is not None:
        found.append(f"β {short(row['beta'])}")
    if row.get("learning_rate") is not None:
        found.append(f"lr {short(row['learning_rate'])}")
    if row.get("preference_stage") not in (None, "none"):
        dpo_beta = f" β {short(row['dpo_beta'])}" if row.get("dpo_beta") is not None else ""
        found.append(f"then {str(row['preference_stage']).upper()}{dpo_beta}")
    return " · ".join(found) or ("no training" if row.get("variant") == "base" else "")


def model_text(text: str | None) -> tuple[str, bool]:
    """A text by a model, safe to put on a page after escaping, and whether it was cut.

    Control characters (but newline and tab), lone surrogates and characters that reorder their surroundings
    become visible marks: they could break the file's encoding or make a text read as another one.
    """
    if text is None:
        return "", False
    return visible(text[:MOST_SHOWN]), len(text) > MOST_SHOWN


def visible(text: str) -> str:
    """The text with `model_text`'s marks in place of what could break or reorder a page."""
    return _UNCOMMON.sub(lambda found: _visible(found[0]), text)


_UNCOMMON = re.compile(r"[^\n\t\x20-\x7e]")


@lru_cache(maxsize=65_536)
def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if not kind.startswith("C") or character in "\n\t":
        return character
    if kind == "Cf" and character not in _REORDERING:
        return character  # joiners of emoji and of several scripts
    return "\ufffd" if kind in ("Cs", "Cn", "Co") else f"\u27e8U+{ord(character):04X}\u27e9"


_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def file_stem(name: str) -> str:
    """A file name for a row: its own name where that is safe, otherwise cleaned and with a digest."""
    clean = re.sub(r"[^A-Za-z0-9._+@-]+", "-", name).strip(".-")[:80]
    if clean and clean == name and name.lower() != "index":
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{clean}-{digest}" if clean else digest


def tick(value: float) -> str:
    """A number at an axis: ``0.25``, ``1,200``, ``1e-4``."""
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return _scientific(value).replace("-", "−", 1) if value < 0 else _scientific(value)
    return f"{value:,.6g}".replace("-", "−")


def measured(value: Any) -> str:
    """A measured number with four significant digits."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING
    return tick(float(f"{value:.4g}")) if math.isfinite(value) else str(value)
