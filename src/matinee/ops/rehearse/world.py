"""AWS on this machine, as far as an app needs it: the emulator, the front before it, and who plays behind the front.

clients, workloads, the deploy ──> front ──┬──> emulator (MiniStack, IAM enforced): all records, table, bucket, …
                                           ├──> functions   Invoke, by the local Lambda service
                                           ├──> ecs         RunTask and its kin, by tasks
                                           └──> stacks      templates adapted, services waited for
people ──> entry ──> healthy tasks of the UI

`services` and `events` are what ECS and EventBridge do by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from matinee.backends.local.lambda_service.guard import Guard
from matinee.ops.rehearse.credentials import Clients, CredentialServer, Roles
from matinee.ops.rehearse.ecs import EcsPlayer, Tasks
from matinee.ops.rehearse.entry import Entry, Target
from matinee.ops.rehearse.events import Events
from matinee.ops.rehearse.folders import FolderImages, Puller
from matinee.ops.rehearse.front import Front
from matinee.ops.rehearse.functions import Functions
from matinee.ops.rehearse.judge import Judge
from matinee.ops.rehearse.logs import LogCarrier
from matinee.ops.rehearse.loop import Loop
from matinee.ops.rehearse.machine import Machine, Processes
from matinee.ops.rehearse.ministack import ACCOUNT, ministack
from matinee.ops.rehearse.record import Recorder
from matinee.ops.rehearse.services import ServicePlayer, Services
from matinee.ops.rehearse.stacks import StackPlayer
from matinee.ops.rehearse.tasks import Hall

NO_ENGINE = "tcp://127.0.0.1:9"  # nobody listens there: the emulator keeps records, and starts nothing itself

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class World:
    """What is there while the block of `world` runs. `endpoint` is AWS to everybody, `entry` the app's address."""

    endpoint: str
    region: str
    account: str
    clients: Clients
    roles: Roles
    front: Front
    entry: Entry
    hall: Hall
    tasks: Tasks
    ecs: EcsPlayer
    services: Services
    functions: Functions
    events: Events
    stacks: StackPlayer
    images: FolderImages
    recorder: Recorder
    judge: Judge


def processes(images: FolderImages, _endpoint: str) -> Machine:
    """Return the machine that needs no engine."""
    return Processes(images)


@contextmanager
def world(
    folder: Path, region: str, *, machine: Callable[[FolderImages, str], Machine] = processes, port: int = 0
) -> Iterator[World]:
    """Play AWS until the block ends; then nothing of it is left but `folder`, where images and logs are."""
    with ExitStack() as stack:
        guard = Guard()
        stack.callback(guard.close)
        upstream = stack.enter_context(
            ministack(started=guard.watch, AUTH="true", DOCKER_HOST=NO_ENGINE, MINISTACK_REGION=region)
        )
        loop = Loop()
        stack.callback(loop.stop)
        clients = Clients(upstream, region, ACCOUNT)
        roles = Roles(clients)
        tokens = CredentialServer(roles)
        front = Front(loop, upstream, [tokens])
        agents = Clients(front.endpoint, region, ACCOUNT)
        logs = LogCarrier(agents)
        stack.callback(logs.stop)
        images = FolderImages(folder / "images", clients)
        runs_on = machine(images, front.endpoint)
        stack.callback(runs_on.close)
        hall = Hall(front.endpoint, region, clients, agents, roles, tokens, logs, runs_on, Puller(agents), guard)
        tasks = Tasks(hall)
        stack.callback(tasks.stop)
        functions = Functions(hall)
        stack.callback(functions.stop)
        services = Services(tasks)
        events = Events(hall, functions)
        tasks.listeners.append(events.task_stopped)
        ecs = EcsPlayer(clients, roles, tasks)
        stacks = StackPlayer(clients, roles, services)
        recorder, judge = Recorder(roles.role_of), Judge(clients, roles)
        front.players += [recorder, functions, ecs, stacks, ServicePlayer(services, clients), judge]
        entry = Entry(loop, lambda: [Target(r.task.id, r.task.port) for r in services.replicas()], port)
        for player in (services, events):
            player.start()
            stack.callback(player.stop)
        yield World(
            front.endpoint, region, ACCOUNT, clients, roles, front, entry, hall, tasks, ecs, services, functions,
            events, stacks, images, recorder, judge,
        )  # fmt: skip
