"""Makes a stack what it is to be: change set → execute → follow. Or says at once that there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Report
from matinee.ops.deploy.stacks.cause import failure
from matinee.ops.deploy.stacks.changes import make_change_set
from matinee.ops.deploy.stacks.follow import follow, newest_event
from matinee.ops.deploy.stacks.model import DONE, ChangeSet, StackSpec, StackState
from matinee.ops.deploy.stacks.settle import settle
from matinee.ops.deploy.stacks.state import refusals

_REFUSED = "Call DescribeEvents"  # what the history says of what was refused before it began


def apply(cloud: Cloud, spec: StackSpec, report: Report, *, may_wait: bool = True) -> StackState:
    """Bring the stack to what is wanted and return it. Nothing is asked of AWS where nothing has changed.

    Raises BackendError with the first cause; then the stack is as it was before.
    """
    state = settle(cloud, spec.name, report, may_wait=may_wait)
    if state is not None and state.is_as(spec):
        return state
    change_set = make_change_set(cloud, spec, is_new=state is None)
    if change_set is None:
        assert state is not None, "a new stack without resources is no valid template"
        return state
    return execute(cloud, change_set, report)


def execute(cloud: Cloud, change_set: ChangeSet, report: Report) -> StackState:
    """Do what the change set says, and wait. Raises BackendError with the first cause."""
    after = newest_event(cloud, change_set.stack_id)
    cloud.call("cloudformation", "execute_change_set", on=change_set.stack, ChangeSetName=change_set.id)
    followed = follow(cloud, change_set.stack_id, report, after=after)
    if followed.state.status not in DONE:
        if any(_REFUSED in event.reason for event in followed.events):
            followed = replace(followed, events=(*refusals(cloud, change_set.stack_id), *followed.events))
        raise failure(followed, "created" if change_set.is_new else "updated")
    return followed.state
