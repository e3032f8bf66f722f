"""What the dispatcher is told of where workers run, and what it tells each worker."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee.errors import BackendError
from matinee.runs import Slot

CONTAINER = "worker"  # the name of the one container of every worker's definition
OVERRIDES_CHARS = 8192  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
MISSING_S = 300.0  # AWS may not yet know what it has just begun: this long, "not found" is no proof of an end


@dataclass(frozen=True)
class LaunchSettings:
    """Names, not ARNs. `spot`: try Spot capacity first."""

    cluster: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    job_queue: str = ""  # of AWS Batch, for predictors with a GPU; "" = the app has none
    spot: bool = True

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> LaunchSettings:
        """Read MATINEE_CLUSTER, _SUBNETS and _SECURITY_GROUPS (with commas), _JOB_QUEUE and _SPOT ("0" = never)."""
        return cls(
            cluster=environ.get("MATINEE_CLUSTER", ""),
            subnets=_names(environ.get("MATINEE_SUBNETS", "")),
            security_groups=_names(environ.get("MATINEE_SECURITY_GROUPS", "")),
            job_queue=environ.get("MATINEE_JOB_QUEUE", ""),
            spot=environ.get("MATINEE_SPOT", "1") != "0",
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that carry these settings."""
        return {
            "MATINEE_CLUSTER": self.cluster,
            "MATINEE_SUBNETS": ",".join(self.subnets),
            "MATINEE_SECURITY_GROUPS": ",".join(self.security_groups),
            "MATINEE_JOB_QUEUE": self.job_queue,
            "MATINEE_SPOT": "1" if self.spot else "0",
        }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def container_override(slot: Slot, more: Mapping[str, str]) -> dict[str, Any]:
    """Return what is overridden in the worker's container: its slot, and `more`. Everything else its definition says.

    Raises BackendError when that is more than ECS takes.
    """
    told = {
        **more,
        "MATINEE_PREDICTOR": slot.predictor,
        "MATINEE_SLOT_TOKEN": slot.token,
        "MATINEE_SLOT_NUMBER": str(slot.number),
    }
    override = {"name": CONTAINER, "environment": [{"name": n, "value": v} for n, v in told.items()]}
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
