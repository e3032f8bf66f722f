"""AWS played on this machine, with workloads that are a few lines of Python instead of images."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import boto3
import pytest
from botocore.config import Config

from matinee.backends.local.lambda_service.function import passed_on
from matinee.rehearsal.machines import Command, ImageMissingError
from matinee.rehearsal.world import world as play_aws
from support.emulators import skip_if_unavailable

REGION = "eu-central-1"
ACCOUNT = "000000000000"
SLEEPER = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(143)); print('up', flush=True); time.sleep(60)"
)
SERVER = """
import http.server, os, sys
port = int(sys.argv[sys.argv.index('--port') + 1])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = (os.environ.get('VERSION', '') + ' ' + str(os.getpid())).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(said))); self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', port), Answer).serve_forever()
"""


@dataclass
class Scripts:
    """A machine whose images are scripts: `scripts["repo@…"] = "print(1)"`."""

    scripts: dict[str, str] = field(default_factory=dict)

    def command(self, workload, added: Mapping[str, str], port: int, name: str) -> Command:
        if workload.image not in self.scripts:
            raise ImageMissingError(f"failed to resolve ref {workload.image}: not found")
        listening = ("--port", str(port)) if port else ()
        told = {**passed_on(), **workload.environment, **added}
        script = self.scripts[workload.image]
        return Command((sys.executable, "-c", script, *workload.command, *listening), told)

    def kill(self, name: str) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def machine():
    return Scripts()


@pytest.fixture(scope="session")
def world(machine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rehearsal")
    with skip_if_unavailable(), play_aws(folder, REGION, machine=lambda *_: machine) as made:
        made.clients("ecs").create_cluster(clusterName="app")
        made.clients("ecr").create_repository(repositoryName="repo")
        yield made


@dataclass
class Hands:
    """Makes by hand what a template would, each under a name of its own."""

    world: object
    machine: Scripts
    region: str = REGION
    account: str = ACCOUNT
    sleeper: str = SLEEPER
    server: str = SERVER
    cluster: str = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/app"

    def role(self, service: str, *statements: dict, name: str = "") -> str:
        name = name or f"role-{uuid.uuid4().hex[:8]}"
        trusted = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        iam = self.world.clients("iam")
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trusted]}))
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def image(self, script: str) -> str:
        """Push an image that is this script; return its reference."""
        tag = f"c-{uuid.uuid4().hex[:12]}"
        digest = self.world.images.push(self.world.clients("ecr"), "repo", tag)
        reference = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/repo@{digest}"
        self.machine.scripts[reference] = script
        return reference

    def execution_role(self, *more: dict) -> str:
        pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/repo"
        return self.role(
            "ecs-tasks.amazonaws.com", allow("ecr:GetAuthorizationToken"), allow(*pull, on=repository), *more
        )

    def definition(self, script: str, *, family: str = "", role: str = "", execution: str = "", **container) -> str:
        family = family or f"family-{uuid.uuid4().hex[:8]}"
        answer = self.world.clients("ecs").register_task_definition(
            family=family,
            containerDefinitions=[{"name": "worker", "image": self.image(script), "memory": 512, **container}],
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            executionRoleArn=execution or self.execution_role(),
            **({"taskRoleArn": role} if role else {}),
        )
        return answer["taskDefinition"]["taskDefinitionArn"]

    def client(self, service: str, role: str = ""):
        """A client of whoever stands outside: at the front, as a role or as the administrator."""
        who = self.world.roles.credentials(role, "a-test") if role else None
        keys = (who.key, who.secret, who.token) if who else ("test", "test", None)
        return boto3.client(
            service,
            endpoint_url=self.world.endpoint,
            region_name=REGION,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            aws_session_token=keys[2],
            config=Config(retries={"total_max_attempts": 1}),
        )

    @staticmethod
    def allow(*actions: str, on: str = "*", **condition) -> dict:
        return allow(*actions, on=on, **condition)


def allow(*actions: str, on: str = "*", **condition) -> dict:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return {**statement, "Condition": condition} if condition else statement


@pytest.fixture
def hands(world, machine):
    return Hands(world, machine)
