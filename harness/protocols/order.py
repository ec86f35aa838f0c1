"""Which output a pairwise verdict's prompt showed first: the ``order`` of a verdict line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BASELINE_FIRST = "baseline_first"
MODEL_FIRST = "model_first"
BOTH = (BASELINE_FIRST, MODEL_FIRST)

_SHORT = {"ab": BASELINE_FIRST, "ba": MODEL_FIRST}
"""As in the public protocols, where the baseline is output 1 or assistant A."""


def first_shown_preference(verdict: Mapping[str, Any]) -> float | None:
    """Preference in [0, 1] for the output shown first; None where the order or the preference is not known."""
    order, preference = verdict.get("order"), verdict.get("preference")
    order = _SHORT.get(str(order), order)
    if preference is None or order not in BOTH:
        return None
    return float(preference) if order == MODEL_FIRST else 1.0 - float(preference)
