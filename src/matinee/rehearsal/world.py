"""AWS on this machine, as far as an app needs it: the emulator, the front before it, and who plays behind the front.

clients, workloads, the deploy ──> front ──┬──> emulator (MiniStack, IAM enforced): all records, table, bucket, …
                                           ├──> functions   Invoke, by the local Lambda service
                                           ├──> ecs         RunTask and its kin, by tasks
                                           └──> stacks      templates adapted, services waited for
people ──> entry ──> healthy tasks of the UI

`services` and `events` are what ECS and EventBridge do by themselves.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from matinee.backends.local.lambda_service.guard import Guard
from matinee.environments.prepare import cache_folder, locked
from matinee.rehearsal.credentials import Clients, CredentialServer, Roles
from matinee.rehearsal.ecs import EcsPlayer, Tasks
from matinee.rehearsal.functions import Events, Functions
from matinee.rehearsal.iam import Judge, Recorder
from matinee.rehearsal.images import FolderImages, Puller
from matinee.rehearsal.machines import Machine, Processes
from matinee.rehearsal.proxies import Call, Entry, Front, Loop, Reply, Target
from matinee.rehearsal.services import ServicePlayer, Services, StackPlayer, TargetHealthPlayer
from matinee.rehearsal.tasks import FirstError, Hall, LogCarrier

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
        error = FirstError()
        front = Front(loop, upstream, [tokens, Stopped(error)], error.record)
        agents = Clients(front.endpoint, region, ACCOUNT)
        logs = LogCarrier(agents, error)
        stack.callback(logs.stop)
        images = FolderImages(folder / "images", clients)
        runs_on = machine(images, front.endpoint)
        stack.callback(runs_on.close)
        hall = Hall(
            front.endpoint, region, clients, agents, roles, tokens, logs, runs_on, Puller(agents), guard, error=error
        )
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
        front.players += [recorder, functions, ecs, stacks, ServicePlayer(services, clients, roles)]
        front.players += [TargetHealthPlayer(services, clients, roles), judge]
        entry = Entry(loop, lambda: [Target(r.task.id, r.task.port) for r in services.replicas()], port)
        front.players.append(Card({"url": entry.url, "images": str(folder / "images"), "account": ACCOUNT}))
        for player in (services, events):
            player.start()
            stack.callback(player.stop)
        yield World(
            front.endpoint, region, ACCOUNT, clients, roles, front, entry, hall, tasks, ecs, services, functions,
            events, stacks, images, recorder, judge,
        )  # fmt: skip


CARD = "/matinee-rehearsal"


class Card:
    """A `Player` that says to other commands on this machine that this is a rehearsal, and what they need of it."""

    def __init__(self, says: Mapping[str, str]) -> None:
        self._says = says

    def wants(self, call: Call) -> bool:
        """Whether the rehearsal's card is asked for."""
        return call.head.method == "GET" and call.head.target == CARD

    def play(self, _call: Call) -> Reply | None:
        """Return the card as JSON."""
        return Reply(200, json.dumps(self._says).encode(), {"content-type": "application/json"})


def read_card(endpoint: str) -> Mapping[str, str] | None:
    """Return what the rehearsal at an endpoint says of itself; None when it is none."""
    try:
        with urllib.request.urlopen(endpoint + CARD, timeout=5) as answer:  # noqa: S310 - an address of this machine
            found = json.load(answer)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"url", "images", "account"} <= found.keys() else None


class Stopped:
    """A `Player` that refuses every call once the rehearsal itself has failed: whoever waits for AWS hears of it."""

    def __init__(self, error: FirstError) -> None:
        self._error = error

    def wants(self, _call: Call) -> bool:
        """Whether the rehearsal itself has failed."""
        return self._error.has_happened

    def play(self, _call: Call) -> Reply | None:
        """Refuse the call."""
        return Reply(400, b'{"__type": "RehearsalFailed", "message": "The rehearsal itself failed."}')


# --- the MiniStack process --------------------------------------------------------------------------------------------
# MiniStack: AWS's services as one process on this machine, whose endpoint the rehearsal stands before.
#
# It is installed once, into the cache, pinned; started on a free port; and its own process group is ended exactly.

MINISTACK = "1.5.33"
ACCOUNT = "000000000000"
REGION = "eu-central-1"
_START_S = 60.0
_INSTALL_S = 300.0


class UnavailableError(Exception):
    """A server cannot be installed or started here; the message says why."""


@contextmanager
def ministack(started: Callable[[int], None] | None = None, **environment: str) -> Iterator[str]:
    """Run MiniStack and yield its endpoint. `environment` sets more of its variables, as AUTH="true".

    `started` is called with its process group.
    """
    folder = installed(f"ministack-{MINISTACK}", _install_ministack)
    port = free_port()
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "LOG_LEVEL": "WARNING",
    }
    settings |= {"MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION, "SFTP_ENABLED": "0", **environment}
    command = [str(folder / "bin" / "python"), "-m", "ministack"]
    variables = {**base_environment(), **settings}
    with running_server(command, folder, port, variables, "/_ministack/health", started) as endpoint:
        yield endpoint


def base_environment() -> dict[str, str]:
    """Return the variables of this process that a server needs: nothing of Matinee or AWS."""
    needed = ("PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME", "DOCKER_HOST", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in needed if name in os.environ}


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """Return the folder of a tool, installed once into the cache; what one process installs, others wait for."""
    base = cache_folder().parent / "emulators"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / name
    with locked(base / f"{name}.lock"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            (folder / "ready").touch()
    return folder


def _install_ministack(folder: Path) -> None:
    install_python(folder, f"ministack=={MINISTACK}")


def install_python(folder: Path, requirement: str) -> None:
    """Make a virtual environment with one package; UnavailableError when that is not possible."""
    import uv

    binary = uv.find_uv_bin()
    run_installer([binary, "venv", "--quiet", str(folder)])
    python = str(folder / "bin" / "python")
    run_installer([binary, "pip", "install", "--quiet", "--python", python, requirement])


def run_installer(command: list[str], folder: Path | None = None) -> None:
    """Run a command that installs something; UnavailableError with its last words when it fails."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", "") or str(error)
        raise UnavailableError(f"`{' '.join(command[:3])} …` failed: {output.strip()[-300:]}") from error


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_server(
    command: list[str],
    folder: Path,
    port: int,
    environment: dict[str, str],
    health: str,
    started: Callable[[int], None] | None = None,
) -> Iterator[str]:
    """Run a server as the leader of its own process group, and end exactly that group."""
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if started is not None:
            started(process.pid)
        _await_answer(process, endpoint + health)
        yield endpoint
    finally:
        _end(process)


def _await_answer(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UnavailableError(f"The emulator ended with code {process.returncode} before it could be asked.")
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310 - 127.0.0.1
                return
        except urllib.error.HTTPError:
            return  # it answers, if only to say no
        except OSError:
            time.sleep(0.05)
    raise UnavailableError(f"The emulator did not answer within {_START_S:.0f} s.")


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                continue
