"""Change sets: CloudFormation says what it would do, before anything is done.

`OnStackFailure` belongs to change sets as `OnFailure` does to CreateStack; a template over 51,200 bytes goes by the
bucket; the first change set of a stack makes a stack in REVIEW_IN_PROGRESS that has to go with it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from matinee.deploy.cloud import Cloud, Note, Report
from matinee.deploy.stack_events import Followed, failure, first_cause, follow, newest_event
from matinee.deploy.stack_state import (
    DONE,
    USABLE,
    Change,
    ChangeSet,
    Effect,
    StackSpec,
    StackState,
    describe,
    refusals,
    resources,
)
from matinee.errors import BackendError, ConflictError
from matinee.lambda_api.sdk import code_of

Json = Any
INLINE_BYTES = 51_200  # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATES = "deploy/templates/"  # where in the bucket large ones are put
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_EFFECTS: dict[str, Effect] = {"Add": "add", "Modify": "change", "Remove": "remove", "Import": "import"}


def make_change_set(cloud: Cloud, spec: StackSpec, *, is_new: bool) -> ChangeSet | None:
    """Ask CloudFormation for the difference; None when there is none, and then nothing is left of the question.

    Raises BackendError with CloudFormation's reason when it does not take the template or its parameters.
    """
    try:
        change_set = _request_change_set(cloud, spec, is_new=is_new)
    except BackendError as error:
        if code_of(error.__cause__ or error) != "ValidationError":
            raise
        raise _refusal(spec, str(getattr(error.__cause__, "response", {})["Error"]["Message"])) from error
    status, reason, changes = _await_change_set(cloud, change_set)
    if status == "CREATE_COMPLETE":
        return replace(change_set, changes=changes)
    discard(cloud, change_set)
    if any(text in reason for text in _NOTHING):
        return None
    raise _refusal(spec, reason)


def _request_change_set(cloud: Cloud, spec: StackSpec, *, is_new: bool) -> ChangeSet:
    made = cloud.call(
        "cloudformation",
        "create_change_set",
        on=spec.name,
        StackName=spec.name,
        ChangeSetName=f"matinee-{uuid.uuid4().hex}",
        ChangeSetType="CREATE" if is_new else "UPDATE",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in spec.parameters.items()],
        Tags=[{"Key": name, "Value": value} for name, value in spec.tags.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        **_template(cloud, spec),
        **_creation_options(spec, is_new=is_new),
    )
    return ChangeSet(made["Id"], made["StackId"], spec.name, is_new, ())


def _creation_options(spec: StackSpec, *, is_new: bool) -> dict[str, Json]:
    """Return what a first create that fails leaves, nothing, and whether what exists under our names is taken in."""
    adopted = {"ImportExistingResources": True} if spec.adopts else {}
    return {"OnStackFailure": "DELETE", **adopted} if is_new else adopted


def _refusal(spec: StackSpec, reason: str) -> BackendError:
    return BackendError(
        f"CloudFormation does not take the template of {spec.name}: {reason}",
        hint="Look at what was changed last under [aws] in matinee.toml.",
    )


def discard(cloud: Cloud, change_set: ChangeSet) -> None:
    """Delete the change set, and the empty stack that the first one of a stack brings with it."""
    cloud.call("cloudformation", "delete_change_set", on=change_set.stack, ChangeSetName=change_set.id)
    if not change_set.is_new:
        return
    state = describe(cloud, change_set.stack_id)
    if state is not None and state.status == "REVIEW_IN_PROGRESS":
        cloud.call("cloudformation", "delete_stack", on=change_set.stack, StackName=change_set.stack_id)


def _template(cloud: Cloud, spec: StackSpec) -> dict[str, str]:
    if len(spec.body.encode()) <= INLINE_BYTES:
        return {"TemplateBody": spec.body}
    key = f"{TEMPLATES}{spec.name}-{spec.mark}.json"
    cloud.call("s3", "put_object", on=cloud.bucket, Bucket=cloud.bucket, Key=key, Body=spec.body.encode())
    host = f"{cloud.endpoint}/{cloud.bucket}" if cloud.endpoint else _regional(cloud)
    return {"TemplateURL": f"{host}/{key}"}


def _regional(cloud: Cloud) -> str:
    suffix = "amazonaws.com.cn" if cloud.region.startswith("cn-") else "amazonaws.com"
    return f"https://{cloud.bucket}.s3.{cloud.region}.{suffix}"


def _await_change_set(cloud: Cloud, change_set: ChangeSet) -> tuple[str, str, tuple[Change, ...]]:
    while True:
        found = cloud.call("cloudformation", "describe_change_set", on=change_set.stack, ChangeSetName=change_set.id)
        if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            break
        cloud.pause()
    changes = list(found.get("Changes", []))
    while found.get("NextToken"):
        found = cloud.call(
            "cloudformation",
            "describe_change_set",
            on=change_set.stack,
            ChangeSetName=change_set.id,
            NextToken=found["NextToken"],
        )
        changes += found.get("Changes", [])
    description = tuple(_change(item["ResourceChange"]) for item in changes if "ResourceChange" in item)
    return found["Status"], found.get("StatusReason", ""), description


def _change(description: Json) -> Change:
    effect = _EFFECTS.get(description["Action"], "change")
    replacement = description.get("Replacement")
    if effect == "change" and replacement == "True":
        effect = "replace"
    causes = [detail.get("Target", {}) for detail in description.get("Details", [])]
    names = [cause.get("Name") or cause.get("Attribute", "") for cause in causes]
    properties = tuple(dict.fromkeys(name for name in names if name))
    return Change(
        effect,
        description["LogicalResourceId"],
        description["ResourceType"],
        description.get("PhysicalResourceId", ""),
        properties,
        may_replace=effect == "change" and replacement == "Conditional",
    )


# --- applying a change set --------------------------------------------------------------------------------------------
# Makes a stack what it is to be: change set → execute → follow. Or says at once that there is nothing to do.

_REFUSED = "Call DescribeEvents"  # what the history says of what was refused before it began


def apply(cloud: Cloud, spec: StackSpec, report: Report, *, may_wait: bool = True) -> StackState:
    """Bring the stack to what is wanted and return it. Nothing is asked of AWS where nothing has changed.

    Raises BackendError with the first cause; then the stack is as it was before.
    """
    state = settle(cloud, spec.name, report, may_wait=may_wait)
    if state is not None and state.matches(spec):
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


# --- deleting a stack -------------------------------------------------------------------------------------------------
# Deletes a stack, and again where AWS's own network interfaces held it the first time.
#
# VPC origins and Fargate leave interfaces in the subnets for a while after they are gone.

TRIES = 4
GONE = "DELETE_COMPLETE"


def delete_stack(cloud: Cloud, state: StackState, report: Report, *, tries: int = TRIES) -> None:
    """Delete it and wait; a stack that is being deleted already is waited for.

    Raises BackendError with what holds it when it is still there after `tries`.
    """
    followed = _delete_once(cloud, state, report)
    for number in range(2, tries + 1):
        if followed is None:
            return
        cause = first_cause(followed.events)
        what = f" ({cause.resource}: {cause.reason})" if cause else ""
        report(Note(f"The stack {state.name} could not be deleted{what}: try {number} of {tries}."))
        for _ in range(5):
            cloud.pause()
        followed = _delete_once(cloud, state, report)
    if followed is not None:
        raise failure(followed, "deleted")


def _delete_once(cloud: Cloud, state: StackState, report: Report) -> Followed | None:
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


# --- recovering a stack -----------------------------------------------------------------------------------------------
# Brings a stack out of every state in which it takes no change set, so that a deployment can go on.
#
# What was under way when somebody's machine went away goes on by itself: it is waited for. A first create that failed
# left nothing that serves: it is deleted. A roll-back that failed is continued.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html

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
    if _continue_once(cloud, state, report, ()):
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
    if not _continue_once(cloud, state, report, failed):
        raise _stuck(state)


def _continue_once(cloud: Cloud, state: StackState, report: Report, skip: tuple[str, ...]) -> bool:
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
