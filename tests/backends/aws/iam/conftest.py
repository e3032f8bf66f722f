"""An app's roles, with the very statements its stack has, in an emulated AWS that enforces them.

MiniStack checks signatures, actions, resources and conditions. What it judges wrongly (leading keys of DynamoDB, log
streams) the rehearsal's judge before it decides by the same policies.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from matinee.backends.aws.session import Session, shared_session
from matinee.backends.aws.store import DynamoStore
from matinee.backends.factory import Backend, open_backend
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.names import Names
from matinee.rehearsal.credentials import Clients, Roles
from matinee.rehearsal.iam import Judge
from matinee.rehearsal.proxies import Front, Loop
from matinee.rehearsal.world import ACCOUNT, REGION, ministack
from matinee.runtime import execute
from matinee.settings import DISPATCHER, AwsSettings, Settings
from matinee.stack.blueprint import Blueprint
from matinee.stack.permissions import policy_document, roles
from support.emulators import make_bucket, make_table, skip_if_unavailable

NAMES = Names("shop", "dev")
SECRET = "of-the-service-that-plays-lambda"
BUCKET = NAMES.bucket(ACCOUNT, REGION)
INPUTS = {"type": "object", "properties": {"n": {}}, "additionalProperties": False}


def predictor(name, kind, *calls):
    return PredictorManifest(name, kind, name, "", INPUTS, {}, Resources(), calls=calls)


PREDICTORS = (
    predictor("price", "realtime"),
    predictor("advise", "realtime", "price"),
    predictor("order", "realtime", "plan"),
    predictor("plan", "batch", "price"),
)
COMPONENTS = tuple(ComponentManifest(p.name, "h", "v1", (p,)) for p in PREDICTORS)
TRUST = {  # this test instead of the service that would take the role on
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    ],
}
RELEASE = Release("shop", "Shop", 1, 0.0, COMPONENTS, {"aws": {"bucket": BUCKET, "functions": {"price": "v1"}}})
BLUEPRINT = Blueprint(NAMES, "Shop", COMPONENTS)


@dataclass
class Account:
    """The emulated account. `acting_as(role)` gives the backend of a process that has this role alone."""

    endpoint: str
    roles: Roles
    functions: str
    root: DynamoStore

    @contextmanager
    def acting_as(self, role):
        """The role by its name, as in "shop-dev-price"."""
        found = self.roles.credentials(f"arn:aws:iam::{ACCOUNT}:role/{role}", "test")
        told = {**found.environment(), **AwsSettings(NAMES.base, BUCKET, REGION, self.endpoint).environment()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in told.items():
                patch.setenv(name, value)
            for cached in (shared_session, execute._open, execute._client):
                cached.cache_clear()
            backend = open_backend(self.settings)
            yield backend
            backend.store.close()

    @property
    def settings(self):
        return Settings(
            "aws", "shop", lambda_endpoint=self.functions, lambda_secret=SECRET, function_prefix=NAMES.prefix
        )


def resolved(value):
    """What CloudFormation makes of a policy."""
    known = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "BucketName": BUCKET}
    text = json.dumps(value, default=lambda helper: helper.to_dict())

    def filled(part):
        return re.sub(r"\$\{([^}]+)\}", lambda found: known[found[1]], part["Fn::Sub"]) if "Fn::Sub" in part else part

    return json.loads(text, object_hook=filled)


def make_roles(iam):
    for role in roles(BLUEPRINT):
        iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=json.dumps(TRUST))
        document = json.dumps(resolved(policy_document(role.statements)))
        iam.put_role_policy(RoleName=role.name, PolicyName="own", PolicyDocument=document)


def price(payload, _context):
    """42, or as long a text as asked for."""
    n = json.loads(payload).get("n")
    return json.dumps("x" * int(n[1:]) if isinstance(n, str) else 42).encode()


@pytest.fixture(scope="session")
def functions():
    """What is called: not under test here, so it needs no signature."""
    service = LambdaService(secret=SECRET)
    service.start()
    service.put_builtin(NAMES.resource("price"), price)
    service.put_builtin(NAMES.resource(DISPATCHER), lambda payload, context: b"{}")
    yield service.endpoint
    service.stop()


@pytest.fixture(scope="session")
def account(functions):
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    with ExitStack() as stack:
        stack.enter_context(skip_if_unavailable())
        upstream = stack.enter_context(ministack(AUTH="true", MINISTACK_REGION=REGION))
        loop = Loop()
        stack.callback(loop.stop)
        clients = Clients(upstream, REGION, ACCOUNT)
        known = Roles(clients)
        front = Front(loop, upstream, [Judge(clients, known)])
        root = Session(AwsSettings(NAMES.base, BUCKET, REGION, upstream))
        stack.callback(root.close)
        make_table(root)
        make_bucket(root)
        make_roles(clients("iam"))
        store = DynamoStore(root)
        store.put_release(RELEASE)
        yield Account(front.endpoint, known, functions, store)


@pytest.fixture
def acting_as(account):
    """Return a function: the backend of a process with this role, named as in "price" or "plan-worker"."""
    with ExitStack() as stack:

        def act(name) -> Backend:
            return stack.enter_context(account.acting_as(NAMES.resource(name)))

        yield act
