"""Deletes a stack, and again where AWS's own network interfaces held it the first time.

VPC origins and Fargate leave interfaces in the subnets for a while after they are gone.
"""

from __future__ import annotations

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.ops.deploy.stacks.cause import failure, first_cause
from matinee.ops.deploy.stacks.follow import Followed, follow, newest_event
from matinee.ops.deploy.stacks.model import StackState
from matinee.ops.deploy.stacks.state import describe

TRIES = 4
GONE = "DELETE_COMPLETE"


def delete_stack(cloud: Cloud, state: StackState, report: Report, *, tries: int = TRIES) -> None:
    """Delete it and wait; a stack that is being deleted already is waited for.

    Raises BackendError with what holds it when it is still there after `tries`.
    """
    followed = _once(cloud, state, report)
    for number in range(2, tries + 1):
        if followed is None:
            return
        cause = first_cause(followed.events)
        what = f" ({cause.resource}: {cause.reason})" if cause else ""
        report(Note(f"The stack {state.name} could not be deleted{what}: try {number} of {tries}."))
        for _ in range(5):
            cloud.pause()
        followed = _once(cloud, state, report)
    if followed is not None:
        raise failure(followed, "deleted")


def _once(cloud: Cloud, state: StackState, report: Report) -> Followed | None:
    """Delete it once; return None when it is gone, else how it ended."""
    if state.status == "REVIEW_IN_PROGRESS":  # never had a resource: it is gone at once, without a history
        cloud.call("cloudformation", "delete_stack", on=state.name, StackName=state.id)
        return None
    after = newest_event(cloud, state.id)
    cloud.call("cloudformation", "delete_stack", on=state.name, StackName=state.id)
    now = describe(cloud, state.id)
    if now is None or now.status == GONE:
        return None
    followed = follow(cloud, state.id, report, after=after)
    return None if followed.state.status == GONE else followed
