"""When to ask again, and how long to wait first: exponential backoff with full jitter, and what Retry-After says."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
# the same for every request, so nothing is gained by sending the others
FATAL_STATUS = frozenset({401, 403, 404, 405})
LONGEST_BACKOFF_SECONDS = 60.0


def backoff(attempt: int, base: float, generator: random.Random) -> float:
    """Seconds before attempt ``attempt`` + 1 (the first is 1): uniform from 0 to a limit that doubles each time."""
    return generator.uniform(0, min(LONGEST_BACKOFF_SECONDS, base * 2.0 ** (attempt - 1)))


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as an HTTP date; None without a usable one."""
    value = (headers.get("retry-after") or "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, time.time() if now is None else now)
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None


def _until(date: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None
