from __future__ import annotations

import os

import pytest

from matinee.backends.aws.files import S3Files
from matinee.testing.emulators import UnavailableError, make_bucket, ministack, session_on


@pytest.fixture(scope="session")
def endpoint():
    try:
        with ministack() as endpoint:
            yield endpoint
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def session(endpoint):
    session = session_on(endpoint)
    make_bucket(session)
    yield session
    session.close()


@pytest.fixture
def files(session):
    return S3Files(session)
