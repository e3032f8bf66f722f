from __future__ import annotations

import pytest

from matinee.backends.aws.store import DynamoStore
from matinee.rehearsal.world import ministack
from support.emulators import dynamodb_local, make_table, session_on, skip_if_unavailable

EMULATORS = {"dynamodb_local": dynamodb_local, "ministack": ministack}


@pytest.fixture(scope="session", params=EMULATORS)
def endpoint(request):
    with skip_if_unavailable(), EMULATORS[request.param]() as found:
        yield found


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
