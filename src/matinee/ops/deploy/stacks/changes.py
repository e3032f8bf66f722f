"""Change sets: CloudFormation says what it would do, before anything is done.

`OnStackFailure` belongs to change sets as `OnFailure` does to CreateStack; a template over 51,200 bytes goes by the
bucket; the first change set of a stack makes a stack in REVIEW_IN_PROGRESS that has to go with it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from matinee.backends.aws.errors import code_of
from matinee.errors import BackendError
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.stacks.model import Change, ChangeSet, Effect, StackSpec
from matinee.ops.deploy.stacks.state import describe

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
        change_set = _asked(cloud, spec, is_new=is_new)
    except BackendError as error:
        if code_of(error.__cause__ or error) != "ValidationError":
            raise
        raise _refused(spec, str(getattr(error.__cause__, "response", {})["Error"]["Message"])) from error
    status, reason, changes = _awaited(cloud, change_set)
    if status == "CREATE_COMPLETE":
        return replace(change_set, changes=changes)
    discard(cloud, change_set)
    if any(text in reason for text in _NOTHING):
        return None
    raise _refused(spec, reason)


def _asked(cloud: Cloud, spec: StackSpec, *, is_new: bool) -> ChangeSet:
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
        **_also(spec, is_new=is_new),
    )
    return ChangeSet(made["Id"], made["StackId"], spec.name, is_new, ())


def _also(spec: StackSpec, *, is_new: bool) -> dict[str, Json]:
    """Return what a first create that fails leaves, nothing, and whether what exists under our names is taken in."""
    adopted = {"ImportExistingResources": True} if spec.adopts else {}
    return {"OnStackFailure": "DELETE", **adopted} if is_new else adopted


def _refused(spec: StackSpec, reason: str) -> BackendError:
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


def _awaited(cloud: Cloud, change_set: ChangeSet) -> tuple[str, str, tuple[Change, ...]]:
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
    told = tuple(_change(item["ResourceChange"]) for item in changes if "ResourceChange" in item)
    return found["Status"], found.get("StatusReason", ""), told


def _change(told: Json) -> Change:
    effect = _EFFECTS.get(told["Action"], "change")
    replacement = told.get("Replacement")
    if effect == "change" and replacement == "True":
        effect = "replace"
    causes = [detail.get("Target", {}) for detail in told.get("Details", [])]
    names = [cause.get("Name") or cause.get("Attribute", "") for cause in causes]
    properties = tuple(dict.fromkeys(name for name in names if name))
    return Change(
        effect,
        told["LogicalResourceId"],
        told["ResourceType"],
        told.get("PhysicalResourceId", ""),
        properties,
        may_replace=effect == "change" and replacement == "Conditional",
    )
