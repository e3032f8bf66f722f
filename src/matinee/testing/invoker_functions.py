"""The functions of the Invoker's contract: plain Lambda handlers of the standard library, in this one file."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def echo(event: Any, _context: Any) -> Any:
    """Answer what was sent."""
    return event


def fail(event: Any, _context: Any) -> Any:
    """Raise."""
    raise ValueError(f"no {event['what']}")


def caller(_event: Any, context: Any) -> Any:
    """Answer what the caller said beside the payload."""
    return context.client_context.custom if context.client_context else None


def big(event: Any, _context: Any) -> Any:
    """Answer a text of so many characters."""
    return "x" * event["size"]


def slow(_event: Any, _context: Any) -> Any:
    """Take longer than any limit of the contract."""
    time.sleep(30)


def crash(_event: Any, _context: Any) -> Any:
    """End the process."""
    sys.stdout.flush()
    os._exit(3)


def note(event: Any, _context: Any) -> Any:
    """Leave a file where the test looks for it."""
    time.sleep(event.get("after_s", 0))
    with open(event["file"], "a") as file:  # noqa: PTH123 - as small as a function can be
        file.write("noted\n")


def talk(event: Any, _context: Any) -> Any:
    """Print."""
    print(event["text"])  # noqa: T201
