"""A trivial typed predictor."""

from __future__ import annotations

from dataclasses import dataclass

from matinee import realtime


@dataclass
class Label:
    label: str
    score: float


@realtime(memory_mb=512, timeout_s=30)
def classify(text: str) -> Label:
    """Say what it is."""
    return Label(text.strip().lower(), len(text) / 100)
