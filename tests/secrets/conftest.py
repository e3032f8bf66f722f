from __future__ import annotations

import os

import pytest

from matinee.testing.emulators import ACCOUNT, REGION, UnavailableError, ministack


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
def ssm(endpoint, monkeypatch):
    """AWS's own client of SSM; parameters of a test are its own by their path."""
    import boto3

    credentials = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "test"}
    return boto3.client("ssm", endpoint_url=endpoint, region_name=REGION, **credentials)
