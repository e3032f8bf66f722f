"""A UI that sleeps outside its office hours is woken for a deployment, and sleeps again afterwards.

At no tasks at all, ECS calls a new version well without ever having started it: its circuit breaker proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.stack.blueprint import UI

_ABSENT = frozenset({"ClusterNotFoundException", "ServiceNotFoundException"})
LONGEST_S = 600.0


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
    answer = cloud.call("ecs", "describe_services", absent=_ABSENT, cluster=cloud.names.base, services=[UI])
    return list((answer or {}).get("services", []))


def _set(cloud: Cloud, count: int) -> None:
    cloud.call("ecs", "update_service", cluster=cloud.names.base, service=UI, desiredCount=count)


def _await_running(cloud: Cloud) -> None:
    """Wait for the task; one that does not come in time is no reason to stop: the update will tell why."""
    begun = cloud.clock()
    while not (services := _services(cloud)) or not services[0]["runningCount"]:
        if cloud.clock() - begun > LONGEST_S:
            return
        cloud.pause()
