"""What the dispatcher is told of where workers run, and what it tells each worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from matinee.errors import BackendError
from matinee.runs import Slot
from matinee.settings import slot_environment

CONTAINER = "worker"  # the name of the one container of every worker's definition
OVERRIDES_CHARS = 8192  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
MISSING_S = 300.0  # AWS may not yet know what it has just begun: this long, "not found" is no proof of an end


def container_override(slot: Slot, more: Mapping[str, str]) -> dict[str, Any]:
    """Return what is overridden in the worker's container: its slot, and `more`. Everything else its definition says.

    Raises BackendError when that is more than ECS takes.
    """
    variables = {**more, **slot_environment(slot.predictor, slot.token, slot.number)}
    override = {"name": CONTAINER, "environment": [{"name": n, "value": v} for n, v in variables.items()]}
    length = len(json.dumps({"containerOverrides": [override]}))
    if length > OVERRIDES_CHARS:
        raise BackendError(
            f"The settings of the worker of {slot.predictor} are {length:,} characters: ECS takes {OVERRIDES_CHARS:,}.",
            hint="Keep long values in the app's files instead of its environment.",
        )
    return override


def was_alive_lately(slot: Slot, now: float) -> bool:
    """Whether the slot was taken or renewed so recently that a worker nobody finds may still be there."""
    return now - max(slot.taken_at, slot.renewed_at) < MISSING_S
