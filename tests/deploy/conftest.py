from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.stub import Stubber

from matinee.backends.aws.session import Session
from matinee.deploy.cloud import Cloud, open_cloud
from matinee.names import Names
from matinee.rehearsal.world import REGION
from matinee.settings import AwsSettings

sys.path.insert(0, str(Path(__file__).parent))  # for what several files share


@pytest.fixture
def cloud(endpoint) -> Cloud:
    names = Names(f"a{uuid.uuid4().hex[:8]}", "dev")
    cloud = open_cloud(names, AwsSettings(region=REGION, endpoint=endpoint), poll_s=0.02)
    yield cloud
    cloud.session.close()


@pytest.fixture
def calls(cloud: Cloud) -> list[str]:
    """Return the operations that are asked of AWS from now on, as they happen."""
    seen: list[str] = []
    for service in ("cloudformation", "s3"):
        events = cloud.session.client(service).meta.events
        events.register("before-call", lambda model, **_: seen.append(model.name))
    return seen


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a cloud whose answers are recorded ones: `answers` gives them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    names = Names("activity", "prod")
    session = Session(AwsSettings(names.base, names.bucket("123456789012", REGION), REGION))
    arn = "arn:aws:iam::123456789012:user/ada"
    return Cloud(names, session, "123456789012", REGION, arn, wait=lambda _: None)


@pytest.fixture
def answers(recorded: Cloud) -> Callable[[str], Stubber]:
    """Return what gives a service's recorded answers; all of them must have been asked for in the end."""
    stubbers: dict[str, Stubber] = {}

    def of(service: str) -> Stubber:
        if service not in stubbers:
            stubbers[service] = Stubber(recorded.session.client(service))
            stubbers[service].activate()
        return stubbers[service]

    yield of
    for stubber in stubbers.values():
        stubber.assert_no_pending_responses()


@pytest.fixture
def asked(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the operations that anything asks of this emulator from now on, as they happen."""
    from botocore.client import BaseClient

    seen: list[str] = []
    call = BaseClient._make_api_call

    def noted(self, operation, given):
        if self.meta.endpoint_url == cloud.endpoint:  # not what still ends of another test's
            seen.append(operation)
        return call(self, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return seen


HELLO = """
    from matinee import realtime
    @realtime(memory_mb=256, examples=[{{"name": "Ada"}}])
    def hello(name: str) -> str:
        '''Say hello.'''
        return "{word} " + name
"""
COUNT = """
    from matinee import batch
    @batch(cpu=0.25, memory_mb=512{more})
    def count(n: int) -> int:
        return n + {plus}
"""


@pytest.fixture
def app(write_app: Callable[..., Path], cloud: Cloud) -> Callable[..., Path]:
    """Return a function that writes the app as it is to be; its name is its own on the emulator."""

    def write(word: str = "Hello", plus: int = 1, more: str = "", toml: str = "") -> Path:
        folder = write_app(toml, hello=HELLO.format(word=word), count=COUNT.format(plus=plus, more=more))
        file = folder / "matinee.toml"
        file.write_text(file.read_text().replace('name = "tiny"', f'name = "{cloud.names.app}"'))
        return folder

    return write


@pytest.fixture
def pretend(endpoint: str):
    from pretending import Pretend

    return Pretend(endpoint, REGION, answers={"hello": "Hello Ada"})


@pytest.fixture
def go(pretend) -> Callable:
    """Return a function that deploys and remembers what was told, as `go.told`."""

    from matinee.deploy.pipeline import deploy
    from matinee.deploy.plan import DeployOptions

    def run(folder: Path, **options):
        run.told.clear()
        return deploy(folder, DeployOptions(**options), pretend.tools, run.told.append)

    run.told = []
    return run
