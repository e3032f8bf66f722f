"""One stage of an app in one account and region: its names, and one way to call AWS whose errors are sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

from matinee.backends.aws.errors import code_of, explained
from matinee.backends.aws.session import Session
from matinee.names import Names
from matinee.settings import AwsSettings

Json = Any
POLL_S = 2.0  # between two looks at what AWS does
_CALLED = {
    "cloudformation": "CloudFormation",
    "ecr": "The image registry (ECR)",
    "ecs": "ECS",
    "elbv2": "The load balancer's service",
    "iam": "IAM",
    "lambda": "Lambda",
    "logs": "CloudWatch Logs",
    "s3": "S3",
    "sts": "AWS (sts)",
}


@dataclass(frozen=True)
class Cloud:
    """Where a stage lives. `session` knows its table and bucket; `wait` and `clock` are time's, for tests to replace.

    `caller` is the ARN of who calls.
    """

    names: Names
    session: Session
    account: str
    region: str
    caller: str = ""
    poll_s: float = POLL_S
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def bucket(self) -> str:
        """The stage's bucket."""
        return self.session.settings.bucket

    @property
    def endpoint(self) -> str:
        """An emulator's address, "" for AWS."""
        return self.session.settings.endpoint

    def call(
        self, service: str, operation: str, /, *, absent: Container[str] = (), on: str = "", **given: Json
    ) -> Json:
        """Call AWS and return its answer, None where it answers one of the codes in `absent`.

        Raises BackendError that names the missing permission, the network or the quota.
        """
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        with explained(_CALLED.get(service, f"AWS ({service})"), action, on or self.names.base):
            try:
                return getattr(self.session.client(service), operation)(**given)
            except Exception as error:
                if code_of(error) in absent:
                    return None
                raise

    def pages(self, service: str, operation: str, key: str, /, **given: Json) -> Iterator[Json]:
        """Yield the items under `key` of all pages."""
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        with explained(_CALLED.get(service, f"AWS ({service})"), action, self.names.base):
            for page in self.session.client(service).get_paginator(operation).paginate(**given):
                yield from page.get(key, [])

    def pause(self) -> None:
        """Wait until the next look."""
        self.wait(self.poll_s)


def open_cloud(names: Names, settings: AwsSettings, *, poll_s: float = POLL_S) -> Cloud:
    """Return the cloud of a stage; one call asks who we are. Table and bucket follow from the names.

    Raises BackendError when there are no credentials, no region, or none that AWS takes.
    """
    session = Session(settings)
    with explained("AWS", "sts:GetCallerIdentity", "*"):
        client = session.client("sts")
        who = client.get_caller_identity()
    region, account = str(client.meta.region_name), str(who["Account"])
    ours = settings._replace(table=names.base, bucket=names.bucket(account, region), region=region)
    return Cloud(names, Session(ours), account, region, str(who["Arn"]), poll_s=poll_s)
