from __future__ import annotations

import pytest

from matinee.backends.aws.files import S3Files
from support.emulators import make_bucket, session_on


@pytest.fixture
def session(endpoint):
    session = session_on(endpoint)
    make_bucket(session)
    yield session
    session.close()


@pytest.fixture
def files(session):
    return S3Files(session)
