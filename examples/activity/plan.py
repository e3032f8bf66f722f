# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas"]
# ///
"""A plan for the days to come: one recommendation a day."""

from __future__ import annotations

import logging
from datetime import date
from typing import Annotated, Literal

import pandas as pd

from matinee import after, batch, predictor, track

log = logging.getLogger(__name__)
recommend = predictor("recommend")  # runs in its own container, with its own dependencies


@batch(
    cpu=0.25,
    memory_mb=512,
    timeout_s=3600,
    retries=2,
    max_workers=2,
    examples=[{"gender": "female", "start": "2026-12-01", "end": "2026-12-08"}],
)
def plan(
    gender: Literal["male", "female", "undisclosed"],
    start: date,
    end: Annotated[date, after("start")],
) -> pd.DataFrame:
    """Plan my days.

    One activity for every day from the start up to, not including, the end.
    """
    days = pd.date_range(start, end, inclusive="left")
    log.info("%d days to plan", len(days))
    rows = [(day.date(), recommend(gender=gender).activity) for day in track(days, "Planning")]
    return pd.DataFrame(rows, columns=["date", "activity"])
