# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy"]
# ///
"""What to do right now: drawn from what others did, the popular more often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from matinee import realtime, state

Gender = Literal["male", "female", "undisclosed"]
GENDERS: tuple[Gender, ...] = ("male", "female", "undisclosed")
START = {"basketball": 1, "baseball": 1, "swimming": 1, "shopping": 1}
LONGEST = 40  # characters of an activity that are kept
rng = np.random.default_rng()


@dataclass
class Recommendation:
    """What to do, and what it was drawn from."""

    activity: str
    candidates: list[str]


@realtime(
    memory_mb=256,
    timeout_s=5,
    examples=[
        {"gender": "female", "past_activity": "swimming"},
        {"gender": "male", "past_activity": "table tennis"},
        {"gender": "undisclosed"},
    ],
)
def recommend(gender: Gender, past_activity: str = "") -> Recommendation:
    """What shall I do right now?

    Say what you did last, if you like: the next person's recommendation learns from it.
    """
    activity = past_activity.strip().lower()[:LONGEST]
    if activity:
        count(gender, activity)
    counts = counts_of(gender)
    return Recommendation(draw(counts), sorted(counts))


def count(gender: Gender, activity: str) -> None:
    """Add one to an activity, whoever else is counting at this moment."""
    while True:
        known = state.get(gender)
        counts = Counter(known or START)
        counts[activity] += 1
        if state.swap(gender, known, dict(counts)):
            return


def counts_of(gender: Gender) -> Counter[str]:
    """Return how often each activity was named; who does not say is shown what everybody does."""
    everybody = GENDERS if gender == "undisclosed" else (gender,)
    return sum((Counter(state.get(one) or START) for one in everybody), Counter())


def draw(counts: Counter[str]) -> str:
    """Return one activity, each as likely as it is often."""
    weights = np.array(list(counts.values()), dtype=float)
    return str(rng.choice(list(counts), p=weights / weights.sum()))
