"""Follows what CloudFormation does to a stack until it has ended, and keeps what a failure will be explained by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from matinee.errors import BackendError
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Report, ResourceMoved
from matinee.ops.deploy.stacks.model import StackEvent, StackState
from matinee.ops.deploy.stacks.state import describe, events
from matinee.ops.deploy.stacks.tasks import StoppedTask, TaskWatch
from matinee.ops.deploy.stacks.words import called

LONGEST_S = 5400.0  # a CloudFront distribution takes minutes, a service that never settles is ended by its own breaker
_BEGINS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")


@dataclass(frozen=True)
class Followed:
    """How an operation ended. `events` are its own, oldest first; `tasks` those of its services that stopped."""

    state: StackState
    events: tuple[StackEvent, ...]
    tasks: tuple[StoppedTask, ...]


def newest_event(cloud: Cloud, stack: str) -> str:
    """Return the id of the newest event, for `follow` to go on after; "" when there is none."""
    newest = next(iter(events(cloud, stack)), None)
    return newest.id if newest else ""


def follow(cloud: Cloud, stack_id: str, report: Report, *, after: str | None = None) -> Followed:
    """Report every event until the stack has come to rest. `after` None: the operation that is under way already.

    Raises BackendError when it does not end in LONGEST_S.
    """
    begun = cloud.clock()
    seen: list[StackEvent] = []
    watch = TaskWatch(cloud, report)
    while True:
        new = _new_events(cloud, stack_id, {event.id for event in seen}, after)
        seen += new
        for event in new:
            report(_moved(event, seen[0]))
            watch.note(event)
        watch.look()
        if seen and _may_be_the_end(seen[-1]):
            state = describe(cloud, stack_id)
            if state is not None and not state.is_busy:
                return Followed(state, tuple(seen), watch.stopped)
        if cloud.clock() - begun > LONGEST_S:
            raise BackendError(
                f"CloudFormation has been at work on {seen[0].resource if seen else stack_id} for {LONGEST_S / 60:.0f} "
                "minutes.",
                hint="It goes on by itself. Look at the stack's events in the AWS console, then deploy again.",
            )
        cloud.pause()


def _new_events(cloud: Cloud, stack_id: str, seen: set[str], after: str | None) -> list[StackEvent]:
    """Return what happened since the last look, oldest first."""
    new = list(takewhile(lambda event: event.id not in seen and event.id != after, _own(cloud, stack_id, after)))
    return new[::-1]


def _own(cloud: Cloud, stack_id: str, after: str | None) -> list[StackEvent]:
    if after is not None:
        return list(takewhile(lambda event: event.id != after, events(cloud, stack_id)))
    found: list[StackEvent] = []
    for event in events(cloud, stack_id):  # newest first: back to where this operation began
        found.append(event)
        if event.is_of_stack and event.status in _BEGINS:
            break
    return found


def _may_be_the_end(event: StackEvent) -> bool:
    return event.is_of_stack and not event.status.endswith("_IN_PROGRESS")


def _moved(event: StackEvent, first: StackEvent) -> ResourceMoved:
    stack = event.stack_id.split("/")[1] if "/" in event.stack_id else event.stack_id
    what = f"stack {stack}" if event.is_of_stack else called(event.type, event.resource)
    elapsed_s = max(0.0, (event.at - first.at).total_seconds())
    return ResourceMoved(stack, what, event.status, elapsed_s, event.reason)
