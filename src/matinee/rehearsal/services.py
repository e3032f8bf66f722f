"""ECS services, played: what the emulator has on record is brought to life, health-checked, replaced and restarted.

Every tick: read the services back → start a task for each new record → ask each task's health as its target group
does → drain old tasks once all new ones are healthy → replace what died, and after three in a row that never became
healthy go back to the former definition, as the deployment circuit breaker does.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import urllib3
from botocore.exceptions import ClientError

from matinee.rehearsal.credentials import Clients, Roles
from matinee.rehearsal.ecs import Tasks
from matinee.rehearsal.iam import FORM, signed
from matinee.rehearsal.proxies import Call, Reply
from matinee.rehearsal.tasks import Task, is_vanishing

Json = Any
TICK_S = 0.25
THRESHOLD = 3  # failures before the circuit breaker opens, the fewest that ECS takes
_HEALTH_TIMEOUT_S = 2.0
_RESTART_S = (0.0, 1.0, 3.0)  # waits before the first, second and later restarts in a row


@dataclass
class Replica:
    """One task of a service."""

    task: Task
    definition: str
    path: str  # of the health check; "" = running is healthy enough
    was_healthy: bool = False
    is_healthy: bool = False
    is_draining: bool = False


@dataclass
class Service:
    """One service as played. `failures` counts tasks in a row that ended before they were healthy."""

    cluster: str
    name: str
    definition: str = ""
    former: str = ""  # the last definition whose tasks were all healthy
    desired: int = 0
    failures: int = 0
    restart_at: float = 0.0
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    replicas: dict[str, Replica] = field(default_factory=dict)

    @property
    def current(self) -> list[Replica]:
        """Replicas of the definition that is wanted, alive."""
        return [r for r in self.replicas.values() if r.definition == self.definition and not r.is_draining]

    @property
    def serving(self) -> list[Replica]:
        """Replicas that a load balancer sends people to."""
        return [r for r in self.replicas.values() if r.is_healthy and not r.is_draining]

    @property
    def is_steady(self) -> bool:
        """Whether all it wants is there and healthy, and nothing else."""
        healthy = sum(r.is_healthy for r in self.current)
        return healthy == self.desired == len(self.replicas)


class Services:
    """Plays all services of the emulator in a thread of its own."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._clients = tasks.hall.clients
        self._services: dict[str, Service] = {}
        self._http = urllib3.PoolManager(retries=False, timeout=_HEALTH_TIMEOUT_S)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rehearsal-services", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing any more; the tasks are ended by `Tasks`."""
        self._stopping.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Service]:
        return iter(list(self._services.values()))

    def get(self, name: str) -> Service | None:
        """Return a service by its name."""
        return next((service for service in self if service.name == name), None)

    def at(self, arn: str) -> Service | None:
        """Return a service by its ARN."""
        return self._services.get(arn)

    def replicas(self) -> list[Replica]:
        """Return everybody a load balancer may send people to."""
        return [replica for service in self for replica in service.serving]

    # --- in its thread ---

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self._tick()
            except Exception as error:  # what is being created or deleted at this moment is there at the next tick
                if not is_vanishing(error):
                    self._tasks.hall.error.record("what plays ECS services", error)
                    return

    def _tick(self) -> None:
        seen = set()
        for record in self._records():
            key = record["serviceArn"]
            seen.add(key)
            service = self._services.setdefault(
                key, Service(record["clusterArn"].rpartition("/")[2], record["serviceName"])
            )
            self._follow(service, record)
        for key in self._services.keys() - seen:
            self._drain(list(self._services[key].replicas.values()), "Service deleted")
            self._forget_ended(self._services[key])
            if not self._services[key].replicas:
                del self._services[key]

    def _records(self) -> list[Json]:
        ecs = self._clients("ecs")
        found: list[Json] = []
        for cluster in ecs.list_clusters()["clusterArns"]:
            arns = ecs.list_services(cluster=cluster)["serviceArns"]
            if arns:
                found += ecs.describe_services(cluster=cluster, services=arns[:10])["services"]
        return [record for record in found if record["status"] == "ACTIVE"]

    def _follow(self, service: Service, record: Json) -> None:
        if record["taskDefinition"] != service.definition:
            service.definition, service.failures, service.rollout = record["taskDefinition"], 0, "IN_PROGRESS"
        service.desired = record["desiredCount"]
        self._forget_ended(service)
        self._start_new(service, record)
        for replica in service.replicas.values():
            self._check(replica)
        old = [r for r in service.replicas.values() if r.definition != service.definition and not r.is_draining]
        healthy = sum(r.is_healthy for r in service.current)
        if healthy >= service.desired:
            self._drain(old, "Service deployment replaced it")
            self._scale_in(service)
            if service.is_steady:
                service.rollout, service.former, service.failures = "COMPLETED", service.definition, 0

    def _start_new(self, service: Service, record: Json) -> None:
        """Start a task for every record that has none; ask the emulator for records of those that died."""
        ecs = self._clients("ecs")
        arns = ecs.list_tasks(cluster=service.cluster, serviceName=service.name)["taskArns"]
        if len(arns) < service.desired and time.monotonic() >= service.restart_at:
            ecs.update_service(cluster=service.cluster, service=service.name, desiredCount=service.desired)
            arns = ecs.list_tasks(cluster=service.cluster, serviceName=service.name)["taskArns"]
        new = [arn for arn in arns if arn not in service.replicas]
        if not new:
            return
        path = self._health_path(record)
        for task in ecs.describe_tasks(cluster=service.cluster, tasks=new)["tasks"]:
            started = self._tasks.start(task)
            service.replicas[started.arn] = Replica(started, task["taskDefinitionArn"], path)

    def _scale_in(self, service: Service) -> None:
        """Drain tasks that the emulator's record has stopped: the count went down."""
        listed = self._clients("ecs").list_tasks(cluster=service.cluster, serviceName=service.name)["taskArns"]
        removed = [r for arn, r in service.replicas.items() if arn not in listed and not r.is_draining]
        self._drain(removed, "Scaling activity initiated by deployment")

    def _health_path(self, record: Json) -> str:
        arns = [lb["targetGroupArn"] for lb in record.get("loadBalancers", ()) if lb.get("targetGroupArn")]
        if not arns:
            return ""
        groups = self._clients("elbv2").describe_target_groups(TargetGroupArns=arns[:1])["TargetGroups"]
        return str(groups[0].get("HealthCheckPath") or "/")

    def _check(self, replica: Replica) -> None:
        task = replica.task
        if task.state.status != "RUNNING":
            replica.is_healthy = False
            return
        replica.is_healthy = not replica.path or not task.port or self._answers(task.port, replica.path)
        replica.was_healthy |= replica.is_healthy

    def _answers(self, port: int, path: str) -> bool:
        try:
            return self._http.request("GET", f"http://127.0.0.1:{port}{path}").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _drain(self, replicas: list[Replica], reason: str) -> None:
        for replica in replicas:
            if not replica.is_draining:
                replica.is_draining, replica.is_healthy = True, False
                replica.task.stop(reason, "ServiceSchedulerInitiated")

    def _forget_ended(self, service: Service) -> None:
        for arn in [arn for arn, replica in service.replicas.items() if replica.task.is_stopped]:
            replica = service.replicas.pop(arn)
            if replica.is_draining:
                continue
            service.failures = 0 if replica.was_healthy else service.failures + 1
            service.restart_at = time.monotonic() + _RESTART_S[min(service.failures, len(_RESTART_S) - 1)]
            service.reason = replica.task.state.container_reason or replica.task.state.reason
            if service.failures >= THRESHOLD and service.rollout == "IN_PROGRESS":
                self._break_circuit(service)

    def _break_circuit(self, service: Service) -> None:
        service.rollout = "FAILED"
        service.restart_at = float("inf")
        if service.former and service.former != service.definition:
            ecs = self._clients("ecs")
            ecs.update_service(cluster=service.cluster, service=service.name, taskDefinition=service.former)
            service.restart_at = 0.0


class ServicePlayer:
    """A `Player` of DescribeServices as people ask for it, who are authorised by the emulator: no workload does."""

    def __init__(self, services: Services, clients: Clients, roles: Roles) -> None:
        self._services = services
        self._clients = clients
        self._roles = roles

    def wants(self, call: Call) -> bool:
        """Whether a person asks for services of ECS."""
        return call.operation == "DescribeServices" and call.service == "ecs" and self._roles.is_person(call.key)

    def play(self, call: Call) -> Reply | None:
        """Return the services as they run here."""
        ecs = self._clients("ecs", self._roles.known(call.key))
        try:
            answer = ecs.describe_services(**json.loads(call.body))
        except ecs.exceptions.ClientError:
            return None
        answer.pop("ResponseMetadata", None)
        pairs = [(record, self._services.at(record["serviceArn"])) for record in answer["services"]]
        answer["services"] = [described(record, service) if service else record for record, service in pairs]
        body = json.dumps(answer, default=lambda moment: moment.timestamp()).encode()
        return Reply(200, body, {"content-type": "application/x-amz-json-1.1"})


class TargetHealthPlayer:
    """A `Player` of DescribeTargetHealth: the emulator has no load balancer, so here the health checks are."""

    def __init__(self, services: Services, clients: Clients, roles: Roles) -> None:
        self._services = services
        self._clients = clients
        self._roles = roles

    def wants(self, call: Call) -> bool:
        """Whether a known caller calls the load balancer."""
        return call.service == "elasticloadbalancing" and self._roles.known(call.key) is not None

    def play(self, call: Call) -> Reply | None:
        """Return the health of the targets. Whoever may not ask is refused by the emulator."""
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        if form.get("Action") != "DescribeTargetHealth":
            return None
        client = self._clients("elbv2", self._roles.known(call.key))
        try:
            client.describe_target_health(TargetGroupArn=form["TargetGroupArn"])
        except client.exceptions.ClientError:
            return None
        return Reply(200, _target_health(self._services.replicas()).encode(), {"content-type": "text/xml"})


def _target_health(replicas: list[Replica]) -> str:
    """Return the answer of DescribeTargetHealth: each replica that serves is a healthy target."""
    members = "".join(
        f"<member><Target><Id>127.0.0.1</Id><Port>{replica.task.port}</Port></Target>"
        "<TargetHealth><State>healthy</State></TargetHealth></member>"
        for replica in replicas
    )
    result = f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>"
    return (
        '<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">'
        f"<DescribeTargetHealthResult>{result}</DescribeTargetHealthResult></DescribeTargetHealthResponse>"
    )


def described(record: Mapping[str, Json], service: Service) -> dict[str, Json]:
    """Return a service as DescribeServices shows it: the emulator's record with what is really there."""
    healthy = sum(r.is_healthy for r in service.current)
    deployments = [dict(deployment) for deployment in record.get("deployments", ())]
    if deployments:
        deployments[0] |= {
            "runningCount": healthy,
            "pendingCount": max(0, service.desired - healthy),
            "rolloutState": service.rollout,
            "failedTasks": service.failures,
        }
    events = [{"id": "rehearsal", "createdAt": time.time(), "message": f"(service {service.name}) {service.reason}"}]
    return {
        **record,
        "runningCount": healthy,
        "pendingCount": max(0, service.desired - healthy),
        "deployments": deployments,
        "events": [*(events if service.reason else ()), *record.get("events", ())],
    }


# --- stacks wait for services -----------------------------------------------------------------------------------------
# CloudFormation before the emulator: a stack waits for its ECS services.
#
# The emulator calls a stack complete as soon as its records are made. AWS waits until a service is steady, and rolls
# back when its circuit breaker opens: so it is told here, in what DescribeStacks answers.

_TIMEOUT_S = 120.0


class StackPlayer:
    """A `Player` of DescribeStacks."""

    def __init__(self, clients: Clients, roles: Roles, services: Services) -> None:
        self._clients = clients
        self._roles = roles
        self._services = services
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S)

    def wants(self, call: Call) -> bool:
        """Whether CloudFormation is called."""
        return call.service == "cloudformation"

    def play(self, call: Call) -> Reply | None:
        """Return the stacks, in progress while their services are not steady.

        A caller the emulator does not know is left to it.
        """
        who = self._roles.known(call.key)
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        if who is None or form.get("Action") != "DescribeStacks":
            return None
        url = f"{self._clients.endpoint}/"
        headers = signed("POST", url, call.body, call.region, call.service, who, FORM)
        answer = self._http.request("POST", url, body=call.body, headers=headers)
        passed_on = {n: v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")}
        if answer.status != 200:
            return Reply(answer.status, answer.data, passed_on)
        members = re.split(r"(?=<StackName>)", answer.data.decode())
        return Reply(200, "".join(map(self._with_status, members)).encode(), passed_on)

    def _with_status(self, member: str) -> str:
        """Return what is told of one stack, in progress while its services are not steady yet."""
        name = re.match(r"<StackName>([^<]+)</StackName>", member)
        status = re.search(r"<StackStatus>(CREATE|UPDATE)_COMPLETE</StackStatus>", member)
        if name is None or status is None:
            return member
        services = self._of(name[1])
        if any(service is None or service.rollout == "IN_PROGRESS" for service in services):
            return _restated(member, f"{status[1]}_IN_PROGRESS", "")
        failed = next((s for s in services if s is not None and s.rollout == "FAILED"), None)
        if failed is None:
            return member
        word = "UPDATE_ROLLBACK_COMPLETE" if status[1] == "UPDATE" else "ROLLBACK_COMPLETE"
        return _restated(member, word, f"ECS Deployment Circuit Breaker was triggered: {failed.reason}")

    def _of(self, stack: str) -> list[Any]:
        try:
            resources = self._clients("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        except ClientError:  # it is being deleted
            return []
        names = [
            r["PhysicalResourceId"].rpartition("/")[2] for r in resources if r["ResourceType"] == "AWS::ECS::Service"
        ]
        return [self._services.get(name) for name in names]


def _restated(member: str, status: str, reason: str) -> str:
    replacement = f"<StackStatus>{status}</StackStatus>"
    if reason:
        replacement += f"<StackStatusReason>{reason}</StackStatusReason>"
    pattern = r"<StackStatus>[^<]*</StackStatus>(<StackStatusReason>[^<]*</StackStatusReason>)?"
    return re.sub(pattern, lambda _: replacement, member, count=1)
