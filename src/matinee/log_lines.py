"""A log line as JSON, and the cut of a text that is too long: one form for disks, CloudWatch and all who read them.

Light, because a realtime function imports it before its component.
"""

from __future__ import annotations

import json
from typing import Any

MAX_MESSAGE_CHARS = 3000  # of one line: below a pipe's PIPE_BUF, so that lines of processes that share it never mix
CUT = "… "  # where the beginning is missing


def cut(text: str, max_chars: int = MAX_MESSAGE_CHARS) -> str:
    """Return the last `max_chars` of a text: a traceback says at its end what happened."""
    return text if len(text) <= max_chars else CUT + text[len(CUT) - max_chars :]


def error_text(error: BaseException, max_chars: int = MAX_MESSAGE_CHARS) -> str:
    """Return "ValueError: what it says" in at most `max_chars`; the error's name stays when the rest is cut."""
    name = f"{type(error).__name__}: "
    return name + cut(str(error), max(len(CUT), max_chars - len(name)))


def to_json(
    at: float,
    level: str,
    message: str,
    *,
    component: str = "",
    run_id: str = "",
    fields: dict[str, Any] | None = None,
) -> str:
    """Return one line of JSON with its end of line; `at` in epoch seconds, what is empty is left out."""
    line = {"at": at, "level": level, "message": cut(message)}
    more = {"component": component, "run_id": run_id, "fields": fields}
    text = json.dumps(line | {name: value for name, value in more.items() if value}, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"  # half a surrogate pair becomes JSON's escape of it


def from_json(text: str | bytes) -> dict[str, Any]:
    """Return the fields of a line as `ports.LogLine` takes them; ValueError for what is no such line."""
    line = json.loads(text)
    try:
        return {
            "at": float(line["at"]),
            "level": str(line["level"]),
            "message": str(line["message"]),
            "component": str(line.get("component", "")),
            "run_id": str(line.get("run_id", "")),
            "fields": dict(line.get("fields") or {}),
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("not a log line") from error
