"""The run of a scheduled time: the same here, where a thread says it is time, and on AWS, where an event does."""

from __future__ import annotations

from matinee.client.core import Client
from matinee.runs import Json, Run
from matinee.schedule import inputs_of

SCHEDULE = "schedule"  # the user of runs that the clock submits


def submit_scheduled(client: Client, predictor: str, scheduled: str, inputs: Json = None) -> Run:
    """Submit the run of a time (`schedule.name_of`), once however often it is said; UsageError if it cannot be.

    `client` is the user SCHEDULE's. Without `inputs` it takes the predictor's defaults or its first example.
    """
    if inputs is None:
        live = client.predictor(predictor)
        inputs = inputs_of(predictor, live.parameters, live.examples)
    return client.submit(predictor, inputs, idempotency_key=f"{SCHEDULE}/{scheduled}")
