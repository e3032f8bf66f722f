"""The drain script of 2020: a task that works on all queued jobs and ends. Its loop is Matinee's now."""

import os

from matinee import batch, predictor, state, track

prediction = predictor("prediction")


@batch(secrets=["SALT"], examples=[{"gender": "female", "days": 2}])
def drain(gender: str, days: int) -> list[str]:
    """Plan my days."""
    assert os.environ["SALT"]
    planned = [prediction(event={"gender": gender}).activity for _ in track(range(days), "Planning")]
    state.increment("plans")
    return planned
