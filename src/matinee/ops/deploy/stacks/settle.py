"""Brings a stack out of every state in which it takes no change set, so that a deployment can go on.

What was under way when somebody's machine went away goes on by itself: it is waited for. A first create that failed
left nothing that serves: it is deleted. A roll-back that failed is continued.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

from __future__ import annotations

from matinee.errors import BackendError, ConflictError
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.ops.deploy.stacks.follow import follow, newest_event
from matinee.ops.deploy.stacks.model import USABLE, StackState
from matinee.ops.deploy.stacks.remove import delete_stack
from matinee.ops.deploy.stacks.state import describe, resources

_NEVER_SERVED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "REVIEW_IN_PROGRESS")
_STEPS = 6  # states to come through: more than these, and it is not getting anywhere


def settle(cloud: Cloud, stack: str, report: Report, *, may_wait: bool = True) -> StackState | None:
    """Return the stack in a state that can be updated, None when it does not exist (any more).

    Raises ConflictError when another deployment is at work and `may_wait` is off, BackendError when it stays stuck.
    """
    for _ in range(_STEPS):
        state = describe(cloud, stack)
        if state is None or state.status in USABLE:
            return state
        if state.is_busy:
            _wait_for(cloud, state, report, may_wait=may_wait)
        elif state.status in _NEVER_SERVED:
            _clear(cloud, state, report)
        elif state.status == "DELETE_FAILED":
            report(Note(f"The stack {stack} was not deleted to the end: that is finished first."))
            delete_stack(cloud, state, report)
        elif state.status == "UPDATE_ROLLBACK_FAILED":
            _continue(cloud, state, report)
        else:
            _roll_back(cloud, state, report)
    assert state is not None, "the loop returns where there is none"
    raise _stuck(state)


def _wait_for(cloud: Cloud, state: StackState, report: Report, *, may_wait: bool) -> None:
    if not may_wait:
        raise ConflictError(
            f"The stack {state.name} is being changed by another deployment ({state.status}).",
            hint="Wait until it is done, or leave --no-wait out to wait here.",
        )
    report(Note(f"The stack {state.name} is being changed already ({state.status}): waiting until that is done."))
    follow(cloud, state.id, report)


def _clear(cloud: Cloud, state: StackState, report: Report) -> None:
    if state.status != "REVIEW_IN_PROGRESS":
        report(Note(f"The first creation of {state.name} had failed ({state.status}): what it left is removed."))
    delete_stack(cloud, state, report)


def _continue(cloud: Cloud, state: StackState, report: Report) -> None:
    """Continue the roll-back; what still cannot be rolled back is left out, and said."""
    report(Note(f"The roll-back of {state.name} had failed: it is continued."))
    if _continued(cloud, state, report, ()):
        return
    failed = tuple(
        found["LogicalResourceId"]
        for found in resources(cloud, state.id)
        if found["ResourceStatus"] in ("UPDATE_FAILED", "DELETE_FAILED")
    )
    if not failed:
        raise _stuck(state)
    names = ", ".join(failed)
    report(Note(f"What cannot be rolled back is left as it is: {names}.", "The deployment that follows sets it right."))
    if not _continued(cloud, state, report, failed):
        raise _stuck(state)


def _continued(cloud: Cloud, state: StackState, report: Report, skip: tuple[str, ...]) -> bool:
    after = newest_event(cloud, state.id)
    cloud.call(
        "cloudformation", "continue_update_rollback", on=state.name, StackName=state.id, ResourcesToSkip=list(skip)
    )
    return follow(cloud, state.id, report, after=after).state.status in USABLE


def _roll_back(cloud: Cloud, state: StackState, report: Report) -> None:
    """Bring a stack that somebody updated with roll-back switched off (UPDATE_FAILED) back to what it was."""
    report(Note(f"The stack {state.name} is in {state.status}: it is rolled back."))
    after = newest_event(cloud, state.id)
    cloud.call("cloudformation", "rollback_stack", on=state.name, StackName=state.id)
    follow(cloud, state.id, report, after=after)


def _stuck(state: StackState) -> BackendError:
    return BackendError(
        f"The stack {state.name} is stuck in {state.status}: {state.reason or 'AWS does not say why'}",
        hint="Look at its events in the AWS console. What serves is not touched; `matinee destroy` removes the stack.",
    )
