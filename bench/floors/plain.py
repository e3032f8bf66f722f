"""The same prediction as `typed.classify`, as a plain Lambda handler: nothing is checked."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return {"label": event["text"].strip().lower(), "score": len(event["text"]) / 100}
