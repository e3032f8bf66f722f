"""What a worker is told on AWS is enough: its definition's environment, RunTask's overrides, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
import uuid

import pytest

from matinee.backends.aws.launcher import AwsLauncher
from matinee.backends.aws.session import Session
from matinee.backends.factory import open_backend
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, to_json
from matinee.names import Names
from matinee.rehearsal.world import REGION
from matinee.runs import Status
from matinee.runtime.dispatcher import Dispatcher
from matinee.settings import AwsSettings, LaunchSettings, Settings
from matinee.stack.blueprint import Blueprint
from matinee.stack.templates import app_template
from support.emulators import make_bucket, make_table

from .conftest import N

PLAN = """
    from matinee import batch, context

    @batch
    def plan(n: int) -> list[str]:
        return [f"day {day} of {context().user}" for day in range(n)]
"""


@pytest.fixture
def component(tmp_path):
    """What an image of the component has in it."""
    (tmp_path / "plan.py").write_text(textwrap.dedent(PLAN))
    plan = PredictorManifest("plan", "batch", "plans", "", N, {}, Resources())
    component = ComponentManifest("plans", "a1b2c3", "", (plan,))
    (tmp_path / "manifest.json").write_text(json.dumps(to_json(component)))
    return component


@pytest.fixture
def app(endpoint, component):
    """An app's dispatcher on an emulated AWS, which has the task definition that the app's own template makes."""
    names = Names(f"a{uuid.uuid4().hex[:8]}", "dev")
    bucket = names.bucket("000000000000", REGION)
    session = Session(AwsSettings(names.base, bucket, REGION, endpoint))
    make_table(session)
    make_bucket(session)
    told = {"BucketName": bucket, "LabelPlans": "v7", "AWS::Region": REGION}
    (container,) = definition(app_template(Blueprint(names, "App", (component,))))
    environment = [{"name": e["Name"], "value": resolved(e["Value"], told)} for e in container["Environment"]]
    ecs = session.client("ecs")
    ecs.create_cluster(clusterName=names.base)
    made = ecs.register_task_definition(
        family=names.resource("plan"),
        containerDefinitions=[
            {"name": container["Name"], "image": "plans", "command": container["Command"], "environment": environment}
        ],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
    )
    settings = Settings(backend="aws", app=names.app, function_prefix=names.prefix, lambda_endpoint=NOWHERE)
    where = LaunchSettings(names.base, ("subnet-a",), ("sg-1",))
    backend = open_backend(settings, session)
    details = {"aws": {"definitions": {"plan": made["taskDefinition"]["taskDefinitionArn"]}}}
    backend.store.put_release(Release(names.app, "App", 1, time.time(), (component,), details=details))
    yield Dispatcher(backend, settings, AwsLauncher(session, where, prefix=names.prefix))
    session.close()


NOWHERE = "http://127.0.0.1:9"  # no function answers there


def definition(template):
    (found,) = (
        resource["Properties"]["ContainerDefinitions"]
        for name, resource in template["Resources"].items()
        if name == "DefinitionPlan"
    )
    return found


def resolved(value, told):
    return told[value["Ref"]] if isinstance(value, dict) else value


def of_the_task(ecs, cluster, arn):
    """Return the command and the environment that ECS gives a task's container."""
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    described = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    (container,) = described["containerDefinitions"]
    (override,) = task["overrides"]["containerOverrides"]
    assert override["name"] == container["name"]
    told = [*container["environment"], *override["environment"]]
    return container["command"], {variable["name"]: variable["value"] for variable in told}


def test_a_worker_told_what_its_task_is_told_and_no_more_does_its_run(app, endpoint, tmp_path):
    schedule = {"predictor": "plan", "scheduled": "2026-11-26T08:00:00Z", "inputs": {"n": 300}}
    run_id = app.act(schedule, time.time())["submitted"]
    (slot,) = app.backend.store.pool("plan").slots
    ecs, cluster = app.launcher._ecs._client(), app.launcher._ecs._settings.cluster
    command, told = of_the_task(ecs, cluster, slot.handle)
    assert (told["MATINEE_SLOT_TOKEN"], told["MATINEE_PREDICTOR"], told["MATINEE_LABEL"]) == (slot.token, "plan", "v7")
    image = {
        "MATINEE_COMPONENT": "plans",
        "MATINEE_SOURCE": str(tmp_path / "plan.py"),
        "MATINEE_MANIFEST": str(tmp_path / "manifest.json"),
    }
    emulated = {"MATINEE_AWS_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    done = subprocess.run(
        [sys.executable, "-m", "matinee.start", *command],
        env={**image, **told, **emulated},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    finished = app.backend.store.run(run_id)
    assert (finished.status, finished.version, finished.owner) == (Status.SUCCEEDED, "v7", slot.token)
    assert "$payload" in finished.result, "300 lines go by way of S3"
    result = json.loads(app.backend.files.read(finished.result["$payload"]))
    assert result == [f"day {day} of schedule" for day in range(300)]
    assert app.backend.store.pool("plan").slots == ()
