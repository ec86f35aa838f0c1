"""Verdicts → estimates of one row (`estimate`), and all rows of a board against each other (`compare`)."""

from harness.aggregate.comparison import compare
from harness.aggregate.estimates import estimate

__all__ = ["compare", "estimate"]
