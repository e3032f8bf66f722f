"""Functions after the stack: versions, and the alias `live` that callers use.

A version exists only after the update that makes it, so it can be no parameter of that update, and CloudFormation's own
`AWS::Lambda::Version` fails with "A version … exists" when code comes back: the tool publishes. Publishing twice gives
the same version, so all of this may be done again.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from matinee.deploy.cloud import Cloud
from matinee.errors import BackendError, ConflictError
from matinee.settings import LABEL, LIVE

Json = Any
LONGEST_S = 600.0  # for Lambda to make a large image its own


_CHANGED_MEANWHILE = frozenset({"PreconditionFailedException"})


def publish_version(cloud: Cloud, predictor: str, image: str, *, label: str = "") -> str:
    """Have the function run this image, publish that as a version and return its number once it can be called.

    Raises ConflictError when another deployment changes the function meanwhile: what is published is this image, or
    nothing is.
    """
    name = cloud.names.resource(predictor)
    revision = _make_current(cloud, name, image, label)
    published = cloud.call(
        "lambda", "publish_version", absent=_CHANGED_MEANWHILE, on=name, FunctionName=name, **_if_at(revision)
    )
    if published is None:
        raise _changed_meanwhile(name)
    version = str(published["Version"])
    _await_settled(cloud, name, version)
    return version


def _make_current(cloud: Cloud, name: str, image: str, label: str) -> str:
    """Have the function's $LATEST run this image under this label, whatever it ran before; return its revision.

    A change that another deployment comes before with is not made: what is there afterwards says so.
    """
    at: dict[str, Any] = {"on": name, "FunctionName": name, "absent": _CHANGED_MEANWHILE}
    found = _look_when_settled(cloud, name)
    if found["Code"].get("ImageUri") != image:
        cloud.call("lambda", "update_function_code", ImageUri=image, **at, **_if_at(_revision_of(found)))
        found = _look_when_settled(cloud, name)
    variables = _variables_of(found)
    if label and variables.get(LABEL) != label:
        environment = {"Variables": {**variables, LABEL: label}}
        at_revision = _if_at(_revision_of(found))
        cloud.call("lambda", "update_function_configuration", Environment=environment, **at, **at_revision)
        found = _look_when_settled(cloud, name)
    if found["Code"].get("ImageUri") != image or (label and _variables_of(found).get(LABEL) != label):
        raise _changed_meanwhile(name)
    return _revision_of(found)


def _look_when_settled(cloud: Cloud, name: str) -> Json:
    _await_settled(cloud, name)
    return cloud.call("lambda", "get_function", on=name, FunctionName=name)


def _if_at(revision: str) -> dict[str, str]:
    """Return the condition that the function is still at this revision, which an emulator may not know."""
    return {"RevisionId": revision} if revision else {}


def _changed_meanwhile(name: str) -> ConflictError:
    return ConflictError(
        f"Another deployment changed the function {name} meanwhile.", hint="Wait until it is done, then run it again."
    )


def _revision_of(function: Json) -> str:
    return str(function["Configuration"].get("RevisionId", ""))


def _variables_of(function: Json) -> dict[str, str]:
    return dict(function["Configuration"].get("Environment", {}).get("Variables", {}))


def remove_versions(cloud: Cloud, predictor: str, needed: Collection[str], *, below: str) -> tuple[str, ...]:
    """Delete the function's versions that are not needed and older than `below`; return their numbers.

    A newer one may belong to another deployment that is under way.
    """
    if not below.isdigit():
        return ()
    name = cloud.names.resource(predictor)
    numbers = [
        one["Version"] for one in cloud.pages("lambda", "list_versions_by_function", "Versions", FunctionName=name)
    ]
    old = tuple(n for n in numbers if n.isdigit() and int(n) < int(below) and n not in needed)
    for number in old:
        cloud.call(
            "lambda",
            "delete_function",
            absent=("ResourceNotFoundException",),
            on=f"{name}:{number}",
            FunctionName=name,
            Qualifier=number,
        )
    return old


def _await_settled(cloud: Cloud, name: str, version: str = "") -> None:
    """Wait until the function is Active and its last update Successful.

    Raises BackendError with Lambda's reason, or when it takes longer than LONGEST_S.
    """
    begun = cloud.clock()
    qualifier = {"Qualifier": version} if version else {}
    while True:
        found = cloud.call("lambda", "get_function_configuration", on=name, FunctionName=name, **qualifier)
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if state == "Failed" or update == "Failed":
            why = found.get("LastUpdateStatusReason") or found.get("StateReason") or "Lambda does not say why"
            raise BackendError(
                f"The function {name} cannot run its image: {why}",
                hint="`matinee test --containers` runs the same image here.",
            )
        if state in ("Active", "Inactive") and update == "Successful":
            return
        if cloud.clock() - begun > LONGEST_S:
            raise BackendError(f"The function {name} is still {state} after {LONGEST_S:.0f} s.", hint="Deploy again.")
        cloud.pause()


def live_version(cloud: Cloud, predictor: str) -> str:
    """Return what the alias points at, "" when there is none."""
    name = cloud.names.resource(predictor)
    found = cloud.call(
        "lambda", "get_alias", absent=("ResourceNotFoundException",), on=name, FunctionName=name, Name=LIVE
    )
    return str(found["FunctionVersion"]) if found else ""


def shares_with(cloud: Cloud, predictor: str) -> str:
    """Return the version that still gets the rest of the calls, "" when the alias points at one alone."""
    name = cloud.names.resource(predictor)
    found = cloud.call(
        "lambda", "get_alias", absent=("ResourceNotFoundException",), on=name, FunctionName=name, Name=LIVE
    )
    weights = (found or {}).get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return str(found["FunctionVersion"]) if weights else ""


def point_alias(cloud: Cloud, predictor: str, version: str, *, share: float = 1.0, former: str = "") -> None:
    """Point the alias at a version; with `share` below 1 only that part of the calls, the rest stays with `former`."""
    name = cloud.names.resource(predictor)
    partly = share < 1 and former not in ("", "$LATEST", version)
    weights = {version: share} if partly else {}
    alias = {
        "FunctionName": name,
        "Name": LIVE,
        "FunctionVersion": former if partly else version,
        "RoutingConfig": {"AdditionalVersionWeights": weights},
    }
    if cloud.call("lambda", "update_alias", absent=("ResourceNotFoundException",), on=name, **alias) is None:
        cloud.call("lambda", "create_alias", on=name, **alias)


def keep_warm(cloud: Cloud, predictor: str, processes: int, *, before: int = 0) -> None:
    """Keep so many processes of the live version started, paid by the hour; 0 ends that where there were some."""
    name = cloud.names.resource(predictor)
    at = {"FunctionName": name, "Qualifier": LIVE}
    if processes:
        cloud.call(
            "lambda", "put_provisioned_concurrency_config", on=name, ProvisionedConcurrentExecutions=processes, **at
        )
    elif before:
        cloud.call(
            "lambda",
            "delete_provisioned_concurrency_config",
            absent=("ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException"),
            on=name,
            **at,
        )


def check_version(cloud: Cloud, predictor: str, version: str) -> None:
    """Raise BackendError when the function no longer has this version."""
    name = cloud.names.resource(predictor)
    found = cloud.call(
        "lambda",
        "get_function_configuration",
        absent=("ResourceNotFoundException",),
        on=name,
        FunctionName=name,
        Qualifier=version,
    )
    if found is None:
        raise BackendError(
            f"{predictor} cannot go back: its function has no version {version} any more.",
            hint="Deploy that version from its source.",
        )


# --- task definitions of workers --------------------------------------------------------------------------------------
# Task definitions of workers: those of the stack, and a new revision of one outside it for `--only`.
#
# The stack keeps old revisions (`Retain`), since INACTIVE ones cannot run and a former release may be needed again.

_READ_ONLY_OF_TASK = (  # what DescribeTaskDefinition says and RegisterTaskDefinition does not take
    *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"),
    *("registeredBy", "deregisteredAt", "enableFaultInjection"),
)
_READ_ONLY_OF_JOB = ("jobDefinitionArn", "revision", "status", "containerOrchestrationType")


def is_job(arn: str) -> bool:
    """Whether it is a job definition of AWS Batch: what predictors with a GPU have."""
    return ":job-definition/" in arn


def register_with_image(cloud: Cloud, arn: str, image: str, label: str) -> str:
    """Register a revision that is as this one but for its image and label, and return its ARN."""
    if is_job(arn):
        return _job_with_image(cloud, arn, image, label)
    found = cloud.call("ecs", "describe_task_definition", on=arn, taskDefinition=arn, include=["TAGS"])
    known = {key: value for key, value in found["taskDefinition"].items() if key not in _READ_ONLY_OF_TASK}
    tags = {"tags": found["tags"]} if found.get("tags") else {}
    made = cloud.call("ecs", "register_task_definition", on=arn, **with_image(known, image, label), **tags)
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _job_with_image(cloud: Cloud, arn: str, image: str, label: str) -> str:
    found = cloud.call("batch", "describe_job_definitions", on=arn, jobDefinitions=[arn])["jobDefinitions"][0]
    known = {key: value for key, value in found.items() if key not in _READ_ONLY_OF_JOB}
    made = cloud.call("batch", "register_job_definition", on=arn, **with_image(known, image, label))
    return str(made["jobDefinitionArn"])


def with_image(definition: Mapping[str, Json], image: str, label: str) -> dict[str, Json]:
    """Return a definition of ECS or Batch with this image and label in every container."""

    def walk(value: Json) -> Json:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        new = {key: walk(item) for key, item in value.items()}
        if isinstance(value.get("image"), str):
            new["image"] = image
        if value.get("name") == LABEL:
            new["value"] = label
        return new

    return {key: walk(value) for key, value in definition.items()}


def check_active(cloud: Cloud, arns: Mapping[str, str]) -> None:
    """Raise BackendError for a definition that cannot run any more; `arns` are by predictor."""
    for predictor, arn in arns.items():
        if is_job(arn):
            found = cloud.call("batch", "describe_job_definitions", on=arn, jobDefinitions=[arn])["jobDefinitions"]
            status = found[0]["status"] if found else ""
        else:
            answer = cloud.call("ecs", "describe_task_definition", absent=("ClientException",), taskDefinition=arn)
            status = answer["taskDefinition"]["status"] if answer else ""
        if status != "ACTIVE":
            raise BackendError(
                f"The workers of {predictor} cannot go back: {arn.rpartition('/')[2]} is no longer there.",
                hint="Deploy that version from its source.",
            )
