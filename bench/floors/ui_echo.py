"""The predictor of the load test: 50 ms, then its text in capitals."""

from __future__ import annotations

import time
from dataclasses import dataclass

from matinee import realtime

SECONDS = 0.05


@dataclass
class Answer:
    text: str
    length: int


@realtime(memory_mb=256, timeout_s=10, concurrency=8)
def echo(text: str = "") -> Answer:
    """Say it louder."""
    time.sleep(SECONDS)
    return Answer(text.upper(), len(text))
