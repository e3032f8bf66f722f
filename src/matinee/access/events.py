"""What the owner can read of who came in, who was refused and who took data away: a log line each.

Here they are the lines of `access` in `matinee logs`; on a stage they stand in the log of the UI.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Literal

from matinee.ports import LogLine

ACCESS = "matinee-access"  # who wrote the lines; no component may be called so
Event = Literal[
    "signed in", "signed out", "sign-in refused", "token refused", "export", "export refused", "request refused"
]
LONGEST = 200  # characters of what somebody else chose
_log = logging.getLogger("matinee.access")


def record_event(event: Event, who: str, address: str, reason: str = "") -> None:
    """Write a line: what happened, who it was ("" = nobody known), from which address. Never a password or a token."""
    who, address, reason = _shown(who), _shown(address), _shown(reason)
    fields = {"event": event, "who": who, "from": address} | ({"reason": reason} if reason else {})
    message = f"{event}: {json.dumps(who, ensure_ascii=False)} from {address or 'an unknown address'}"
    _log.info("%s", message + (f" ({reason})" if reason else ""), extra={"access": fields})


def _shown(text: str) -> str:
    """Return it cut, and without what begins a line of its own, colours a terminal or is no character at all."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:LONGEST])


def send_events_to(write: Callable[[LogLine], None]) -> logging.Handler:
    """Have all events of this process written by `write` from now on; return the handler, for `stop_events`."""
    handler = _Handler(write)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
    return handler


def stop_events(handler: logging.Handler) -> None:
    """Write no more events by what `send_events_to` returned."""
    _log.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, write: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "access", {})
        try:
            self._write(LogLine(time.time(), record.levelname, record.getMessage(), ACCESS, fields=fields))
        except OSError:  # a full disk signs nobody out
            self.handleError(record)
