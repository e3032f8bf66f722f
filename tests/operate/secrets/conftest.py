from __future__ import annotations

import pytest

from matinee.rehearsal.world import ACCOUNT, REGION


@pytest.fixture
def ssm(endpoint, monkeypatch):
    """AWS's own client of SSM; parameters of a test are its own by their path."""
    import boto3

    credentials = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "test"}
    return boto3.client("ssm", endpoint_url=endpoint, region_name=REGION, **credentials)
