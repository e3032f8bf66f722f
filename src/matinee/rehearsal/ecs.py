"""RunTask, DescribeTasks, StopTask and ListTasks as workloads call them, before the emulator's bookkeeping.

The emulator keeps the records (it has no engine, so it starts nothing); here a call is authorised on the resources
AWS documents, a client token stays one task, and what is told of a task is what really became of it.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import urllib3
from botocore.exceptions import ClientError

from matinee.rehearsal.credentials import ROOT, Clients, Credentials, Roles
from matinee.rehearsal.iam import Caller, DeniedError, signed
from matinee.rehearsal.machines import of_task
from matinee.rehearsal.proxies import Call, Reply
from matinee.rehearsal.tasks import Hall, Task, shown

Json = Any
TARGET = "AmazonEC2ContainerServiceV20141113."
_REMEMBERED = 500  # ended tasks that are still described, as ECS describes them for an hour

Refuse = Callable[[Mapping[str, Json]], Json | None]  # a RunTask's request → the failures ECS would give, or None


class Tasks:
    """All tasks there are: those of RunTask and those of services."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.listeners: list[Callable[[Task], None]] = []
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def start(self, record: Mapping[str, Json], overrides: Json | None = None) -> Task:
        """Start the task that the emulator has made a record of."""
        definition = read_definition(self.hall.clients, record["taskDefinitionArn"])
        task = Task(
            record["taskArn"],
            of_task(definition, overrides),
            self.hall,
            group=record.get("group", ""),
            provider=record.get("capacityProviderName") or "",
            on_stopped=self._stopped,
        )
        with self._lock:
            self._tasks[task.arn] = task
        task.start()
        return task

    def get(self, arn: str) -> Task | None:
        """Return a task by its ARN or its id."""
        return self._tasks.get(arn) or next((t for t in self if t.id == arn), None)

    def __iter__(self) -> Iterator[Task]:
        with self._lock:
            return iter(list(self._tasks.values()))

    def stop(self) -> None:
        """End all of them, the slow ones too; nobody is told any more."""
        self.listeners.clear()
        for task in self:
            task.stop("The rehearsal ends", grace_s=5.0)
        for task in self:
            task.join(10.0)

    def _stopped(self, task: Task) -> None:
        self._stop_record(task)
        for listener in self.listeners:
            listener(task)
        with self._lock:
            over = [t.arn for t in self._tasks.values() if t.is_stopped]
            for arn in over[:-_REMEMBERED]:
                del self._tasks[arn]

    def _stop_record(self, task: Task) -> None:
        """Have the record say STOPPED, so that lists agree."""
        ecs = self.hall.clients("ecs")
        with suppress(ClientError):  # the cluster may be gone already
            ecs.stop_task(cluster=cluster_of(task.arn), task=task.arn, reason=task.state.reason[:255])


def read_definition(clients: Clients, name: str) -> Json:
    """Return a task definition (its ARN, or its family) as the emulator has it.

    Not through boto3, which drops what it does not know: a definition that a template made has its secrets under
    `Name` and `ValueFrom`, in a template's spelling.
    """
    body = json.dumps({"taskDefinition": name}).encode()
    sent = {"Content-Type": _JSON["content-type"], "X-Amz-Target": f"{TARGET}DescribeTaskDefinition"}
    headers = signed("POST", f"{clients.endpoint}/", body, clients.region, "ecs", Credentials(*ROOT), sent)
    answer = urllib3.request("POST", f"{clients.endpoint}/", body=body, headers=headers, retries=False)
    if answer.status != 200:
        raise RuntimeError(f"the emulator has no task definition {name}: {answer.data.decode(errors='replace')}")
    return answer.json()["taskDefinition"]


class EcsPlayer:
    """A `Player` of the four operations. `refuse` plays a lack of capacity."""

    def __init__(self, clients: Clients, roles: Roles, tasks: Tasks) -> None:
        self._clients = clients
        self._roles = roles
        self._tasks = tasks
        self._known: dict[str, tuple[Json, Json]] = {}
        self._lock = threading.Lock()
        self.refuse: Refuse = lambda _request: None
        self._operations: dict[str, Callable[[Json, Caller], Json]] = {
            "RunTask": self._run,
            "DescribeTasks": self._describe,
            "StopTask": self._stop,
            "ListTasks": self._list,
        }

    def wants(self, call: Call) -> bool:
        """Whether this is a call of ECS that is played here."""
        target = call.head.get("x-amz-target")
        return target.startswith(TARGET) and call.operation in self._operations

    def play(self, call: Call) -> Reply | None:
        """Run, describe, list or stop tasks as the caller may. A caller the emulator does not know is left to it."""
        if self._roles.known(call.key) is None:
            return None
        caller = Caller(self._clients("iam"), self._roles.principal_of(call.key))
        try:
            answer = self._operations[call.operation](json.loads(call.body or b"{}"), caller)
            return Reply(200, _encoded(answer), _JSON)
        except DeniedError as denied:
            return Reply(400, _encoded({"__type": "AccessDeniedException", "message": str(denied)}), _JSON)
        except _Refused as refused:
            return Reply(refused.status, _encoded(refused.fields), _JSON)
        except Exception as error:
            return _as_reply(error)

    # --- the operations ---

    def _run(self, request: Json, caller: Caller) -> Json:
        ecs = self._clients("ecs")
        found = ecs.describe_task_definition(taskDefinition=request["taskDefinition"])["taskDefinition"]
        self._authorise_run(request, found, caller)
        token = request.get("clientToken", "")
        with self._lock:
            if token in self._known:
                return self._again(token, request)
            failures = self.refuse(request)
            if failures is not None:
                return {"tasks": [], "failures": failures}
            answer = ecs.run_task(**{n: v for n, v in request.items() if n not in ("clientToken", "propagateTags")})
            if token:
                self._known[token] = (request, answer)
        tasks = [self._tasks.start(record, request.get("overrides")) for record in answer["tasks"]]
        return {**answer, "tasks": [shown(r, t.state) for r, t in zip(answer["tasks"], tasks, strict=True)]}

    def _authorise_run(self, request: Json, definition: Json, caller: Caller) -> None:
        context = self._in_cluster(request)
        caller.needs("ecs:RunTask", definition["taskDefinitionArn"], context)
        if request.get("propagateTags", "NONE") != "NONE" or request.get("tags"):
            caller.needs("ecs:TagResource", self._task_arn(request, "new"), {"ecs:createaction": "RunTask", **context})
        passed = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
        for role in (definition.get("taskRoleArn"), definition.get("executionRoleArn")):
            if role:
                caller.needs("iam:PassRole", role, passed)

    def _again(self, token: str, request: Json) -> Json:
        """A known token: the same request is answered by its tasks, another one refused."""
        before, answer = self._known[token]
        if before == request:
            return {**answer, "tasks": [self._shown(record) for record in answer["tasks"]]}
        arns = [task["taskArn"] for task in answer["tasks"]]
        message = "The provided clientToken is already in use by another request."
        raise _Refused("ConflictException", message, resourceIds=arns)

    def _describe(self, request: Json, caller: Caller) -> Json:
        for task in request.get("tasks", ()):
            caller.needs("ecs:DescribeTasks", self._task_arn(request, task), self._in_cluster(request))
        answer = self._clients("ecs").describe_tasks(**request)
        return {**answer, "tasks": [self._shown(record) for record in answer["tasks"]]}

    def _stop(self, request: Json, caller: Caller) -> Json:
        caller.needs("ecs:StopTask", self._task_arn(request, request["task"]), self._in_cluster(request))
        task = self._tasks.get(request["task"])
        if task is not None and not task.is_stopped:
            task.stop(request.get("reason", "Task stopped by user"))
        answer = self._clients("ecs").stop_task(**request)
        return {**answer, "task": self._shown(answer["task"])}

    def _list(self, request: Json, caller: Caller) -> Json:
        caller.needs("ecs:ListTasks", "*", self._in_cluster(request))
        answer: Json = self._clients("ecs").list_tasks(**request)
        return answer

    def _shown(self, record: Json) -> Json:
        task = self._tasks.get(record["taskArn"])
        return shown(record, task.state) if task else record

    def _in_cluster(self, request: Json) -> dict[str, str]:
        name = str(request.get("cluster", "default"))
        return {"ecs:cluster": name if name.startswith("arn:") else f"{self._arn('cluster')}/{name}"}

    def _task_arn(self, request: Json, task: str) -> str:
        cluster = str(request.get("cluster", "default")).rpartition("/")[2]
        return task if task.startswith("arn:") else f"{self._arn('task')}/{cluster}/{task}"

    def _arn(self, kind: str) -> str:
        return f"arn:aws:ecs:{self._clients.region}:{self._clients.account}:{kind}"


class _Refused(Exception):  # noqa: N818 - control flow inside this file
    def __init__(self, kind: str, message: str, status: int = 400, **more: Json) -> None:
        super().__init__(message)
        self.status = status
        self.fields = {"__type": kind, "message": message, **more}


def cluster_of(arn: str) -> str:
    """Return the cluster's name in a task's ARN."""
    return arn.split("/")[1]


_JSON = {"content-type": "application/x-amz-json-1.1"}


def _encoded(answer: Json) -> bytes:
    plain = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return json.dumps(plain, default=lambda moment: moment.timestamp()).encode()


def _as_reply(error: Exception) -> Reply:
    """Pass on what the emulator answered to us."""
    response = getattr(error, "response", None)
    if response is None:
        raise error
    problem = response["Error"]
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return Reply(status, _encoded({"__type": problem["Code"], "message": problem["Message"]}), _JSON)
