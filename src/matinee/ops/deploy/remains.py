"""What stacks leave behind on purpose, and the tool removes: task definitions, and with `--data` what is kept.

INACTIVE definitions cannot run, so the stack retains them; the table and the bucket outlive their stack; a bucket is
empty only without its versions, delete markers and unfinished uploads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from matinee.ops.deploy.cloud import Cloud
from matinee.project.sections import PASSWORD

Json = Any
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


def remove_kept(cloud: Cloud) -> None:
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


def tagged(cloud: Cloud) -> tuple[str, ...]:
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
