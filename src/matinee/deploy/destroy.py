"""`matinee destroy`: nothing is left, and that is proven by asking for everything with the stage's tags.

edge (its origin holds the load balancer) → no launches, schedules off, tasks stopped → what runs → task definitions →
with data: bucket emptied, what is kept, images, logs, secrets → the shared network, when this was its last app.
Each step looks first, so an interrupted one goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from matinee.deploy.cloud import Cloud, Note, Report, Step, Tools, silent
from matinee.deploy.current_state import open_stage
from matinee.deploy.drain import drain_stage
from matinee.deploy.remote_build import build_stack
from matinee.deploy.stack_changes import delete_stack
from matinee.deploy.stack_events import follow
from matinee.deploy.stack_state import StackState, describe
from matinee.errors import NotFoundError
from matinee.names import NETWORK_STACK, Names
from matinee.project.load import load
from matinee.settings import PASSWORD

Json = Any
SHOWN_FILES = 1000  # that are counted: who has more knows it
LAGS_S = 60.0  # how long AWS may still list what is gone


@dataclass(frozen=True)
class Loss:
    """What would be lost. `items` are the table's, as AWS counts them every few hours; `files` stop at SHOWN_FILES."""

    stage: str
    account: str
    region: str
    stacks: tuple[str, ...]
    with_data: bool
    items: int = 0
    files: int = 0
    images: int = 0


@dataclass(frozen=True)
class Destroyed:
    """What was removed, what is retained on purpose, and what else AWS still lists: nothing, if all went well."""

    stage: str
    stacks: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    declined: bool = False

    def to_json(self) -> dict[str, object]:
        """Return what `matinee destroy --json` prints; `retained` is called `kept` there."""
        return {
            "stage": self.stage,
            "stacks": self.stacks,
            "kept": self.retained,
            "left": self.left,
            "declined": self.declined,
        }


def destroy(
    path: Path,
    stage: str,
    tools: Tools,
    *,
    with_data: bool = False,
    report: Report = silent,
    confirm: Callable[[Loss], bool] = lambda _: True,
) -> Destroyed:
    """Remove a stage; table, bucket, images and logs only `with_data`.

    Raises NotFoundError when there is nothing of it, BackendError with what holds it.
    """
    project = load(path).for_stage(stage)
    cloud = open_stage(Names(project.name, stage), project.aws.region, tools)
    names = cloud.names
    stacks = (names.edge_stack, names.base, build_stack(names), names.data_stack)
    found = {name: describe(cloud, name) for name in stacks}
    left = tagged_resources(cloud)
    if not any(found.values()) and not left:
        raise NotFoundError(f"There is nothing of the stage {stage} of {names.app} in {cloud.region}.")
    if not confirm(_loss(cloud, [name for name, state in found.items() if state], with_data=with_data)):
        return Destroyed(stage, declined=True)
    removed = _remove(cloud, found, report, with_data=with_data)
    retained = _list_retained(cloud) if not with_data else ()
    return Destroyed(stage, removed, retained, _list_leftovers(cloud, retained))


def _remove(cloud: Cloud, found: dict[str, StackState | None], report: Report, *, with_data: bool) -> tuple[str, ...]:
    names = cloud.names
    removed: list[str] = []

    def remove(name: str, what: str) -> None:
        state = found[name]
        if state is None:
            return
        report(Step(what))
        if state.is_busy and not state.status.startswith("DELETE"):
            report(Note(f"The stack {name} is being changed ({state.status}): waiting until that is done."))
            state = follow(cloud, state.id, report).state
        delete_stack(cloud, state, report)
        removed.append(name)

    remove(names.edge_stack, "The public address")
    report(Step("No launches, schedules off, tasks stopped"))
    drain_stage(cloud, report)
    remove(names.base, "What runs")
    remove(build_stack(names), "What built images")
    remove_definitions(cloud)
    if with_data:
        report(Step("Emptying the bucket"))
        empty_bucket(cloud)
        remove(names.data_stack, "What was kept: table, bucket, images, logs")
        remove_retained(cloud)
        removed += _remove_network(cloud, report)
    return tuple(removed)


def _remove_network(cloud: Cloud, report: Report) -> list[str]:
    """Remove the network all apps share, if no app is left in this account and region."""
    state = describe(cloud, NETWORK_STACK)
    if state is None or _has_other_apps(cloud):
        return []
    report(Step("The network: this was its last app"))
    delete_stack(cloud, state, report)
    return [NETWORK_STACK]


def _has_other_apps(cloud: Cloud) -> bool:
    stacks = cloud.pages("cloudformation", "describe_stacks", "Stacks")
    return any("matinee:app" in {tag["Key"] for tag in stack.get("Tags", [])} for stack in stacks)


def _loss(cloud: Cloud, stacks: list[str], *, with_data: bool) -> Loss:
    where = (cloud.names.stage, cloud.account, cloud.region, tuple(stacks))
    if not with_data:
        return Loss(*where, with_data=False)
    table = cloud.call("dynamodb", "describe_table", absent=("ResourceNotFoundException",), TableName=cloud.names.base)
    listed = cloud.call(
        "s3", "list_objects_v2", absent=("NoSuchBucket",), on=cloud.bucket, Bucket=cloud.bucket, MaxKeys=SHOWN_FILES
    )
    from matinee.deploy import registry

    items = int(table["Table"].get("ItemCount", 0)) if table else 0
    return Loss(*where, True, items, int((listed or {}).get("KeyCount", 0)), len(registry.images(cloud)))


def _list_retained(cloud: Cloud) -> tuple[str, ...]:
    """Return what is retained on purpose: the data's stack, what it made, and the secrets."""
    return tuple(arn for arn in tagged_resources(cloud) if _is_data(cloud, arn))


def _is_data(cloud: Cloud, arn: str) -> bool:
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kinds = {"dynamodb", "s3", "ecr", "logs", "ssm", "secretsmanager"}
    return service in kinds or (service == "cloudformation" and f"stack/{cloud.names.data_stack}/" in resource)


def _list_leftovers(cloud: Cloud, retained: tuple[str, ...]) -> tuple[str, ...]:
    """Return what AWS still lists beside what is retained; what is gone may be listed for a while."""
    begun = cloud.clock()
    while left := tuple(arn for arn in tagged_resources(cloud) if arn not in retained):
        if cloud.clock() - begun > LAGS_S:
            break
        for _ in range(3):
            cloud.pause()
    return left


# --- cleanup beside the stacks ----------------------------------------------------------------------------------------
# What stacks leave behind on purpose, and the tool removes: task definitions, and with `--data` what is kept.
#
# INACTIVE definitions cannot run, so the stack retains them; the table and the bucket outlive their stack; a bucket is
# empty only without its versions, delete markers and unfinished uploads.

_PART = re.compile("[A-Za-z_][A-Za-z0-9_]*")  # a predictor or "ui": with a hyphen it is another stage's
_NO_CLUSTER = frozenset({"ClusterNotFoundException"})
_DEFINITIONS_AT_ONCE = 10
_OBJECTS_AT_ONCE = 1000
_PARAMETERS_AT_ONCE = 10


def is_ours(cloud: Cloud, name: str) -> bool:
    """Whether a name is of this stage, not of another whose name begins with this one's."""
    return name.startswith(cloud.names.prefix) and bool(_PART.fullmatch(name.removeprefix(cloud.names.prefix)))


def remove_definitions(cloud: Cloud) -> int:
    """Deregister and delete all task and job definitions of the stage; return how many."""
    count = 0
    for family in _families(cloud):
        for arn in _definitions(cloud, family, "ACTIVE"):
            cloud.call("ecs", "deregister_task_definition", on=arn, taskDefinition=arn)
        inactive = _definitions(cloud, family, "INACTIVE")
        for part in _parts(inactive, _DEFINITIONS_AT_ONCE):
            cloud.call("ecs", "delete_task_definitions", taskDefinitions=part)
        count += len(inactive)
    return count + _remove_job_definitions(cloud)


def _families(cloud: Cloud) -> list[str]:
    operation, prefix = "list_task_definition_families", cloud.names.prefix
    found = {
        name
        for status in ("ACTIVE", "INACTIVE")
        for name in cloud.pages("ecs", operation, "families", familyPrefix=prefix, status=status)
    }
    return sorted(name for name in found if is_ours(cloud, name))


def _definitions(cloud: Cloud, family: str, status: str) -> list[str]:
    found = cloud.pages("ecs", "list_task_definitions", "taskDefinitionArns", familyPrefix=family, status=status)
    return [arn for arn in found if arn.rpartition("/")[2].rpartition(":")[0] == family]


def _remove_job_definitions(cloud: Cloud) -> int:
    found = cloud.call("batch", "describe_job_definitions", absent=("404", "AccessDeniedException"), status="ACTIVE")
    ours = [d for d in (found or {}).get("jobDefinitions", []) if is_ours(cloud, d["jobDefinitionName"])]
    for definition in ours:
        cloud.call("batch", "deregister_job_definition", jobDefinition=definition["jobDefinitionArn"])
    return len(ours)


def empty_bucket(cloud: Cloud) -> int:
    """Delete every version, delete marker and unfinished upload of the stage's bucket; return how many objects."""
    bucket = cloud.bucket
    if cloud.call("s3", "head_bucket", absent=("404", "NoSuchBucket"), on=bucket, Bucket=bucket) is None:
        return 0
    for upload in cloud.pages("s3", "list_multipart_uploads", "Uploads", Bucket=bucket):
        key = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
        cloud.call("s3", "abort_multipart_upload", absent=("NoSuchUpload",), on=bucket, Bucket=bucket, **key)
    count = 0
    for kind in ("Versions", "DeleteMarkers"):
        listed = cloud.pages("s3", "list_object_versions", kind, Bucket=bucket)
        keys = ({"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed)
        while part := list(islice(keys, _OBJECTS_AT_ONCE)):
            cloud.call("s3", "delete_objects", on=bucket, Bucket=bucket, Delete={"Objects": part, "Quiet": True})
            count += len(part) if kind == "Versions" else 0
    return count


def remove_retained(cloud: Cloud) -> None:
    """Delete what the data's stack retained: table, bucket, repository, log groups, secrets."""
    base, bucket = cloud.names.base, cloud.bucket
    cloud.call("dynamodb", "delete_table", absent=("ResourceNotFoundException",), TableName=base)
    empty_bucket(cloud)
    cloud.call("s3", "delete_bucket", absent=("NoSuchBucket", "404"), on=bucket, Bucket=bucket)
    cloud.call("ecr", "delete_repository", absent=("RepositoryNotFoundException",), repositoryName=base, force=True)
    _remove_log_groups(cloud)
    _remove_secrets(cloud)


def _remove_log_groups(cloud: Cloud) -> None:
    beginning = cloud.names.log_group("")
    for group in list(cloud.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=beginning)):
        name = group["logGroupName"]
        if re.fullmatch("[A-Za-z_][A-Za-z0-9_-]*", name.removeprefix(beginning)) and _is_stage_group(cloud, name):
            cloud.call("logs", "delete_log_group", absent=("ResourceNotFoundException",), on=name, logGroupName=name)


def _is_stage_group(cloud: Cloud, name: str) -> bool:
    part = name.removeprefix(cloud.names.log_group(""))
    return bool(_PART.fullmatch(part)) or part == "matinee-dispatcher"


def _remove_secrets(cloud: Cloud) -> None:
    beginning = cloud.names.parameter("")
    listed = cloud.pages("ssm", "get_parameters_by_path", "Parameters", Path=beginning, Recursive=True)
    names = [parameter["Name"] for parameter in listed]
    for part in _parts(names, _PARAMETERS_AT_ONCE):
        cloud.call("ssm", "delete_parameters", Names=part)
    cloud.call(
        "secretsmanager",
        "delete_secret",
        absent=("ResourceNotFoundException", "AccessDeniedException"),  # allowed where the app has one
        SecretId=cloud.names.parameter(PASSWORD).lstrip("/"),
        ForceDeleteWithoutRecovery=True,
    )


def tagged_resources(cloud: Cloud) -> tuple[str, ...]:
    """Return the ARNs of everything that has the stage's tags and is really there."""
    filters = [
        {"Key": "matinee:app", "Values": [cloud.names.app]},
        {"Key": "matinee:stage", "Values": [cloud.names.stage]},
    ]
    found = cloud.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters)
    return tuple(sorted(arn for item in found if _is_there(cloud, arn := item["ResourceARN"])))


def _is_there(cloud: Cloud, arn: str) -> bool:
    """Whether it is more than a memory: ECS keeps what is deleted for a while, marked so, and its tags with it."""
    if ":ecs:" not in arn:
        return True
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind == "service":
        cluster = name.partition("/")[0]
        answer = cloud.call("ecs", "describe_services", absent=_NO_CLUSTER, cluster=cluster, services=[arn])
        return any(service["status"] != "INACTIVE" for service in (answer or {}).get("services", []))
    if kind == "cluster":
        answer = cloud.call("ecs", "describe_clusters", clusters=[arn])
        return any(cluster["status"] != "INACTIVE" for cluster in answer["clusters"])
    if kind == "task-definition":
        answer = cloud.call("ecs", "describe_task_definition", absent=("ClientException",), taskDefinition=arn)
        return bool(answer) and answer["taskDefinition"]["status"] != "DELETE_IN_PROGRESS"
    return True


def _parts(items: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
