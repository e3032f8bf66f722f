"""Drain a stage before it is removed (no launches, schedules disabled, tasks stopped), and resume it.

A stack is not deleted while tasks of its cluster run, and their network interfaces hold its security groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matinee.backends.aws.launcher import GROUP
from matinee.deploy.cloud import Cloud, Note, Report
from matinee.deploy.stack_state import describe, resources
from matinee.settings import DISPATCHER
from matinee.stack.blueprint import UI

Json = Any
_ABSENT = frozenset({"ResourceNotFoundException", "ClusterNotFoundException"})
LONGEST_DRAIN_S = 300.0  # Fargate gives a task two minutes to end, and then ends it
AT_ONCE = 100


def drain_stage(cloud: Cloud, report: Report) -> None:
    """Stop whatever starts things, then what runs; a stage that is drained already is no error."""
    _stop_launches(cloud)
    _disable_schedules(cloud)
    _stop_tasks(cloud, report)


def _stop_launches(cloud: Cloud) -> None:
    """Let the dispatcher run no more: it alone launches, whoever asks it."""
    cloud.call(
        "lambda",
        "put_function_concurrency",
        absent=_ABSENT,
        FunctionName=cloud.names.resource(DISPATCHER),
        ReservedConcurrentExecutions=0,
    )


def _disable_schedules(cloud: Cloud) -> None:
    """Disable what calls the dispatcher by the clock and when a task ends: the rules and schedules of the stack."""
    _set_schedules(cloud, "DISABLED")


def _set_schedules(cloud: Cloud, state: str) -> None:
    if describe(cloud, cloud.names.base) is None:
        return
    rule = "enable_rule" if state == "ENABLED" else "disable_rule"
    for resource in resources(cloud, cloud.names.base):
        name = resource.get("PhysicalResourceId", "")
        if name and resource["ResourceType"] == "AWS::Events::Rule":
            cloud.call("events", rule, absent=_ABSENT, on=name, Name=name.rpartition("/")[2])
        elif name and resource["ResourceType"] == "AWS::Scheduler::Schedule":
            _set_schedule(cloud, name.rpartition("/")[2], state)


def _set_schedule(cloud: Cloud, name: str, state: str) -> None:
    at = {"Name": name, "GroupName": cloud.names.base}
    found = cloud.call("scheduler", "get_schedule", absent=_ABSENT, on=name, **at)
    if found is None or found.get("State") == state:
        return
    keys = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
    settings = {key: found[key] for key in keys if found.get(key)}
    cloud.call("scheduler", "update_schedule", absent=_ABSENT, on=name, State=state, **at, **settings)


def resume_stage(cloud: Cloud, report: Report) -> None:
    """Undo `drain_stage` where a destruction was begun and left: the stack knows nothing of it, so no update would.

    The dispatcher comes last, since it is asked first.
    """
    dispatcher = cloud.names.resource(DISPATCHER)
    found = cloud.call("lambda", "get_function_concurrency", absent=_ABSENT, FunctionName=dispatcher)
    if found is None or found.get("ReservedConcurrentExecutions") != 0:
        return
    report(Note("A destruction of this stage was begun and not finished: workers are started again."))
    _set_schedules(cloud, "ENABLED")
    cloud.call("lambda", "delete_function_concurrency", absent=_ABSENT, FunctionName=dispatcher)


def _stop_tasks(cloud: Cloud, report: Report) -> None:
    """Stop the workers and wait; the service's own tasks go with the service."""
    running = _workers(cloud)
    if running:
        report(Note(f"Stopping {len(running)} workers: what they have not finished stays in the queue."))
    for arn in running:
        cloud.call(
            "ecs",
            "stop_task",
            absent=("InvalidParameterException",),
            cluster=cloud.names.base,
            task=arn,
            reason="The app is being destroyed",
        )
    begun = cloud.clock()
    while _workers(cloud) and cloud.clock() - begun < LONGEST_DRAIN_S:
        cloud.pause()


def _workers(cloud: Cloud) -> list[str]:
    """Return the workers that have not stopped."""
    listed = cloud.call("ecs", "list_tasks", absent=_ABSENT, cluster=cloud.names.base)
    arns = (listed or {}).get("taskArns", [])
    found: list[str] = []
    for start in range(0, len(arns), AT_ONCE):
        tasks: list[Json] = cloud.call(
            "ecs", "describe_tasks", cluster=cloud.names.base, tasks=arns[start : start + AT_ONCE]
        )["tasks"]
        found += [t["taskArn"] for t in tasks if t.get("group", "").startswith(GROUP) and t["lastStatus"] != "STOPPED"]
    return found


# --- waking a sleeping UI ---------------------------------------------------------------------------------------------
# A UI that sleeps outside its office hours is woken for a deployment, and sleeps again afterwards.
#
# At no tasks at all, ECS calls a new version well without ever having started it: its circuit breaker proves nothing.

_ABSENT_SERVICE = frozenset({"ClusterNotFoundException", "ServiceNotFoundException"})
LONGEST_WAKE_S = 600.0


@contextmanager
def awake(cloud: Cloud, report: Report) -> Iterator[None]:
    """Have one task of the UI running inside the block, where there is a service and it sleeps."""
    if not _sleeps(cloud):
        yield
        return
    report(Note("The UI sleeps outside its office hours: it is woken for this, and sleeps again afterwards."))
    try:
        _set(cloud, 1)
        _await_running(cloud)
        yield
    finally:
        _set(cloud, 0)


def _sleeps(cloud: Cloud) -> bool:
    services = _services(cloud)
    return bool(services) and services[0]["status"] == "ACTIVE" and services[0]["desiredCount"] == 0


def _services(cloud: Cloud) -> list[dict[str, object]]:
    answer = cloud.call("ecs", "describe_services", absent=_ABSENT_SERVICE, cluster=cloud.names.base, services=[UI])
    return list((answer or {}).get("services", []))


def _set(cloud: Cloud, count: int) -> None:
    cloud.call("ecs", "update_service", cluster=cloud.names.base, service=UI, desiredCount=count)


def _await_running(cloud: Cloud) -> None:
    """Wait for the task; one that does not come in time is no reason to stop: the update will tell why."""
    begun = cloud.clock()
    while not (services := _services(cloud)) or not services[0]["runningCount"]:
        if cloud.clock() - begun > LONGEST_WAKE_S:
            return
        cloud.pause()
