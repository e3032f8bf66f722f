"""A plain-typed component behind a real local Lambda service, by either runtime client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.settings import Settings

COMPONENT = Path(__file__).parent / "components" / "plain.py"
CLIENTS = {"awslambdaric": "awslambdaric", "own loop": "matinee.runtime.loop"}


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    """The component's manifest, as inspection makes it."""
    settings = {"MATINEE_COMPONENT": "plain", "MATINEE_SOURCE": str(COMPONENT)}
    told = subprocess.run(
        [sys.executable, "-m", "matinee.runtime.inspect"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    path = tmp_path_factory.mktemp("manifest") / "plain.json"
    path.write_text(told.stdout.splitlines()[-1])
    assert json.loads(path.read_text())["trouble"] is None
    return path


@pytest.fixture
def lines():
    """What functions wrote: (line, run id as the local service knows it), Lambda's own lines left out."""
    return []


@pytest.fixture
def service(lines):
    def take(_function, run_id, line):
        if not line.startswith(("START ", "END ", "REPORT ", "INIT_")):
            lines.append((line, run_id))

    service = LambdaService(on_log=take)
    service.start()
    yield service
    service.stop()


@pytest.fixture(params=CLIENTS.values(), ids=CLIENTS.keys())
def runtime_client(request):
    return request.param


@pytest.fixture
def call(service, manifest, tmp_path, runtime_client):
    """Return a function that calls a predictor of the component and returns the Invocation with its decoded payload."""
    settings = Settings(
        data=tmp_path / "data",
        lambda_endpoint=service.endpoint,
        lambda_secret=service.secret,
        component="plain",
        source=COMPONENT,
        manifest=manifest,
    )
    settings.data.mkdir()
    invoker = LambdaInvoker(service.endpoint, secret=service.secret)
    command = [sys.executable, "-m", runtime_client, "matinee.runtime.realtime.handler"]

    def call(name, inputs, *, source=COMPONENT, environment=None, **context):
        variables = {**settings.environment(), "MATINEE_PREDICTOR": name, "MATINEE_SOURCE": str(source)}
        variables |= environment or {}
        service.put_function(LocalFunction(name, command, variables, concurrency=1, version="v3", cwd=str(tmp_path)))
        answer = invoker.invoke(name, json.dumps(inputs).encode(), context=context or None)
        return answer, json.loads(answer.payload)

    call.settings = settings
    return call
