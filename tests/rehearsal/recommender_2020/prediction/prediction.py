"""The realtime function of 2020, as it ran on Lambda: a plain handler with its own data file and a secret."""

import csv
import os
from pathlib import Path

from matinee import state

SALT = os.environ["SALT"]
LIMIT = int(os.environ["CANDIDATES"])


def load(name):
    with (Path(__file__).parent / name).open() as file:
        return [row["activity"] for row in csv.DictReader(file)]


ACTIVITIES = load("activities" + ".csv")


def handler(event, context):
    """What shall I do right now?"""
    if "gender" not in event:
        raise ValueError("gender is missing")
    asked = int(state.increment(f"asked/{event['gender']}"))
    first = (asked + len(SALT)) % len(ACTIVITIES)
    return {"activity": ACTIVITIES[first], "candidates": ACTIVITIES[:LIMIT], "asked": asked}
