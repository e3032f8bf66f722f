"""A stage whose AWS is a script: a test says what each service answers, in order, and all of it is asked for."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from matinee.backends.aws.session import Session
from matinee.deploy.cloud import Cloud
from matinee.names import Names
from matinee.settings import AwsSettings

ACCOUNT, REGION = "123456789012", "eu-central-1"


class Stubs:
    """`stubs["ecs"]` is the Stubber of that service, made when first named."""

    def __init__(self, session):
        self._session = session
        self._made = {}

    def __getitem__(self, service):
        if service not in self._made:
            credentials = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            client = boto3.client(service, region_name=REGION, **credentials)
            self._session._clients[service] = client
            self._made[service] = Stubber(client)
            self._made[service].activate()
        return self._made[service]

    def check(self):
        for stubber in self._made.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def session():
    return Session(AwsSettings(table="matinee-shop-dev", bucket="bucket", region=REGION))


@pytest.fixture
def stubs(session):
    made = Stubs(session)
    yield made
    made.check()


@pytest.fixture
def cloud(session):
    names = Names("shop", "dev")
    caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/ada"
    return Cloud(names, session, ACCOUNT, REGION, caller, wait=lambda _: None)
