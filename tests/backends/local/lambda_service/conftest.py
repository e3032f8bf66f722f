"""A local Lambda service with real processes, and boto3 as the caller."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.guests import ACCESS_KEY_ID
from matinee.backends.local.lambda_service.service import LambdaService, Limits

HANDLERS = Path(__file__).parent / "handlers"
CLIENTS = {"awslambdaric": "matinee.runtime.lambda_client", "own loop": "matinee.runtime.loop"}


def wait_until(condition, within_s=10.0):
    """Poll until the condition holds and return what it returned."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
    return found


class Caller:
    """boto3 at a service; `call` returns the decoded payload."""

    def __init__(self, service, folder):
        self.service = service
        self.folder = folder
        self.logs = []
        settings = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        self.client = boto3.client(
            "lambda",
            endpoint_url=service.endpoint,
            region_name="eu-central-1",
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=service.secret,
            config=settings,
        )

    def function(self, name="echo", handler="echo.handler", client="matinee.runtime.lambda_client", **more):
        """Define a function of `handlers/`, with a process at once unless told otherwise."""
        command = [sys.executable, "-m", client, handler]
        settings = {"memory_mb": 256, "timeout_s": 10, "concurrency": 1, "cwd": str(HANDLERS), **more}
        self.service.put_function(LocalFunction(name, command, **settings))
        return name

    def invoke(self, name="echo", payload=None, **more):
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(payload or {}), **more)
        body = answer["Payload"].read()
        return answer, json.loads(body) if body else None

    def call(self, name="echo", payload=None, **more):
        return self.invoke(name, payload, **more)[1]


@pytest.fixture
def make_service(tmp_path):
    """Start services that end with the test."""
    services = []

    def make(**settings):
        lines = []
        service = LambdaService(on_log=lambda *line: lines.append(line), **settings)
        service.start()
        services.append(service)
        caller = Caller(service, tmp_path)
        caller.logs = lines
        return caller

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def lambdas(make_service):
    """A service with short limits where AWS's are long."""
    return make_service(limits=Limits(idle_s=300, queue_length=3, queue_wait_s=5), event_retry_delays_s=(0.05, 0.05))


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS.keys())
def runtime_client(request):
    """Each of the two clients of the Runtime API."""
    return request.param
