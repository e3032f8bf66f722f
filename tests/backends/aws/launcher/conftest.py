from __future__ import annotations

import pytest
from botocore.stub import Stubber

from matinee.backends.aws.session import Session
from matinee.settings import AwsSettings


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    session = Session(AwsSettings("table", "bucket", "eu-central-1"))
    yield session
    session.close()


@pytest.fixture
def stub(session):
    """Return a function: the stub of a service's client, whose answers must all have been asked for in the end."""
    stubs = {}

    def of(service, *, retry=True):
        if (service, retry) not in stubs:
            stubs[service, retry] = Stubber(session.client(service, retry=retry))
            stubs[service, retry].activate()
        return stubs[service, retry]

    yield of
    for each in stubs.values():
        each.assert_no_pending_responses()
