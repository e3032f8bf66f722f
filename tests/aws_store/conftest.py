from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from matinee.backends.aws.store import DynamoStore
from matinee.testing.emulators import (
    UnavailableError,
    dynamodb_local,
    make_table,
    ministack,
    session_on,
)

EMULATORS = {"dynamodb_local": dynamodb_local, "ministack": ministack}


@pytest.fixture(scope="session", params=EMULATORS)
def endpoint(request):
    with ExitStack() as stack:
        try:
            endpoint = stack.enter_context(EMULATORS[request.param]())
        except UnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        yield endpoint


@pytest.fixture
def session(endpoint):
    session = session_on(endpoint)
    make_table(session)
    yield session
    session.client("dynamodb").delete_table(TableName=session.settings.table)
    session.close()


@pytest.fixture
def store(session):
    return DynamoStore(session)
