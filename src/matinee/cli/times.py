"""How people say times: a date, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime

from matinee.errors import UsageError

_AGO_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def since(text: str, now: float) -> float:
    """Return epoch seconds of "2026-11-01", "2026-11-01T09:00" or "7d", "12h", "30m", "90s"; "" is the beginning."""
    if not text:
        return 0.0
    if ago := re.fullmatch(r"([0-9]{1,6})([dhms])", text):
        return now - int(ago[1]) * _AGO_S[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time.", hint="Write a date as 2026-11-01, or how long ago as 7d, 12h or 30m."
        ) from None
