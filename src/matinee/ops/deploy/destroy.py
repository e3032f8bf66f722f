"""`matinee destroy`: nothing is left, and that is proven by asking for everything with the stage's tags.

edge (its origin holds the load balancer) → no launches, schedules off, tasks stopped → what runs → task definitions →
with data: bucket emptied, what is kept, images, logs, secrets → the shared network, when this was its last app.
Each step looks first, so an interrupted one goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.errors import NotFoundError
from matinee.names import NETWORK_STACK, Names
from matinee.ops.deploy import remains
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report, Step, silent
from matinee.ops.deploy.ground import open_stage
from matinee.ops.deploy.quiet import quieten
from matinee.ops.deploy.remote_stack import build_stack
from matinee.ops.deploy.stacks.follow import follow
from matinee.ops.deploy.stacks.model import StackState
from matinee.ops.deploy.stacks.remove import delete_stack
from matinee.ops.deploy.stacks.state import describe
from matinee.ops.deploy.tools import Tools
from matinee.project import load

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
    """What is gone, what is kept on purpose, and what else AWS still lists: nothing, if all went well."""

    stage: str
    stacks: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    declined: bool = False


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
    left = remains.tagged(cloud)
    if not any(found.values()) and not left:
        raise NotFoundError(f"There is nothing of the stage {stage} of {names.app} in {cloud.region}.")
    if not confirm(_loss(cloud, [name for name, state in found.items() if state], with_data=with_data)):
        return Destroyed(stage, declined=True)
    gone = _remove(cloud, found, report, with_data=with_data)
    kept = _kept_by(cloud) if not with_data else ()
    return Destroyed(stage, gone, kept, _left(cloud, kept))


def _remove(cloud: Cloud, found: dict[str, StackState | None], report: Report, *, with_data: bool) -> tuple[str, ...]:
    names = cloud.names
    gone: list[str] = []

    def remove(name: str, what: str) -> None:
        state = found[name]
        if state is None:
            return
        report(Step(what))
        if state.is_busy and not state.status.startswith("DELETE"):
            report(Note(f"The stack {name} is being changed ({state.status}): waiting until that is done."))
            state = follow(cloud, state.id, report).state
        delete_stack(cloud, state, report)
        gone.append(name)

    remove(names.edge_stack, "The public address")
    report(Step("No launches, schedules off, tasks stopped"))
    quieten(cloud, report)
    remove(names.base, "What runs")
    remove(build_stack(names), "What built images")
    remains.remove_definitions(cloud)
    if with_data:
        report(Step("Emptying the bucket"))
        remains.empty_bucket(cloud)
        remove(names.data_stack, "What was kept: table, bucket, images, logs")
        remains.remove_kept(cloud)
        gone += _network(cloud, report)
    return tuple(gone)


def _network(cloud: Cloud, report: Report) -> list[str]:
    """Remove the network all apps share, if no app is left in this account and region."""
    state = describe(cloud, NETWORK_STACK)
    if state is None or _others(cloud):
        return []
    report(Step("The network: this was its last app"))
    delete_stack(cloud, state, report)
    return [NETWORK_STACK]


def _others(cloud: Cloud) -> bool:
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
    from matinee.ops.deploy import registry

    items = int(table["Table"].get("ItemCount", 0)) if table else 0
    return Loss(*where, True, items, int((listed or {}).get("KeyCount", 0)), len(registry.images(cloud)))


def _kept_by(cloud: Cloud) -> tuple[str, ...]:
    """Return what is kept on purpose: the data's stack, what it made, and the secrets."""
    return tuple(arn for arn in remains.tagged(cloud) if _is_data(cloud, arn))


def _is_data(cloud: Cloud, arn: str) -> bool:
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kinds = {"dynamodb", "s3", "ecr", "logs", "ssm", "secretsmanager"}
    return service in kinds or (service == "cloudformation" and f"stack/{cloud.names.data_stack}/" in resource)


def _left(cloud: Cloud, kept: tuple[str, ...]) -> tuple[str, ...]:
    """Return what AWS still lists beside what is kept; what is gone may be listed for a while."""
    begun = cloud.clock()
    while left := tuple(arn for arn in remains.tagged(cloud) if arn not in kept):
        if cloud.clock() - begun > LAGS_S:
            break
        for _ in range(3):
            cloud.pause()
    return left
