"""The launcher's contract, and the dispatcher from submit to a worker's end, on an emulated AWS.

MiniStack starts a task for every RunTask: what AWS documents of client tokens is put between (`Tokens`).
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
"""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from matinee.backends.aws.launcher import AwsLauncher, EcsLauncher
from matinee.backends.aws.session import open_session, shared_session
from matinee.backends.factory import open_backend
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.runs import Run, Status, new_run_id
from matinee.runtime.dispatcher import Dispatcher
from matinee.settings import LaunchSettings, Settings
from matinee.testing.launcher_contract import LauncherContract
from support.emulators import make_bucket, make_table, session_on
from support.wire import Wire

SETTINGS = LaunchSettings("app", ("subnet-a", "subnet-b"), ("sg-1",))


class Tokens:
    """Answers a RunTask whose token is known, as AWS does: the same request by its task, another by a conflict."""

    def __init__(self, client):
        self._known = {}
        client.meta.events.register("before-call.ecs.RunTask", self._before)
        client.meta.events.register("after-call.ecs.RunTask", self._after)

    def _before(self, params, context, **_):
        token = json.loads(params["body"])["clientToken"]
        if token not in self._known:
            context["token"], context["request"] = token, params["body"]
            return None
        request, answer = self._known[token]
        if request == params["body"]:
            return SimpleNamespace(status_code=200), answer
        arns = [task["taskArn"] for task in answer["tasks"]]
        error = {"Code": "ConflictException", "Message": "The provided clientToken is already in use."}
        return SimpleNamespace(status_code=400), {"Error": error, "resourceIds": arns, "ResponseMetadata": {}}

    def _after(self, parsed, context, **_):
        if "token" in context:
            self._known[context["token"]] = (context["request"], parsed)


def prepare(session):
    ecs = session.client("ecs")
    ecs.create_cluster(clusterName="app")
    ecs.register_task_definition(
        family="app-plan",
        containerDefinitions=[{"name": "worker", "image": "worker", "memory": 512}],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
    )
    Tokens(ecs)
    return ecs


def started_for(ecs, token):
    listed = [ecs.list_tasks(cluster="app", startedBy=token, desiredStatus=s) for s in ("RUNNING", "STOPPED")]
    return len({arn for answer in listed for arn in answer["taskArns"]})


class TestEcsLauncher(LauncherContract):
    @pytest.fixture
    def session(self, endpoint):
        session = session_on(endpoint)
        prepare(session)
        yield session
        session.close()

    @pytest.fixture
    def launcher(self, session):
        return EcsLauncher(session, SETTINGS, lambda name: f"app-{name}")

    @pytest.fixture
    def started(self, session):
        return lambda token: started_for(session.client("ecs"), token)

    def test_a_launch_on_demand_after_one_on_spot_is_the_same_task(self, session, launcher, started, slot):
        """Its dispatcher died before it wrote the handle; the next one has learnt that Spot is scarce."""
        on_demand = EcsLauncher(
            session, LaunchSettings("app", SETTINGS.subnets, spot=False), lambda name: f"app-{name}"
        )
        assert on_demand.launch(slot) == launcher.launch(slot)
        assert started(slot.token) == 1

    @pytest.mark.parametrize("times", [1, 3])
    def test_a_throttled_launch_is_sent_again_under_its_token(self, session, launcher, started, slot, times):
        wire = Wire(session.client("ecs"))
        wire.refuse("RunTask", "ThrottlingException", times=times)
        assert launcher.launch(slot)
        assert {sent.body["clientToken"] for sent in wire.sent if sent.operation == "RunTask"} == {slot.token}
        assert wire.operations["RunTask"] == times + 1
        assert started(slot.token) == 1


@pytest.fixture
def app(endpoint, monkeypatch):
    """The dispatcher of an app on the emulator, as its container's environment opens it."""
    made = session_on(endpoint)
    make_table(made)
    make_bucket(made)
    shared_session.cache_clear()
    for name, value in {
        **made.settings.environment(),
        "MATINEE_BACKEND": "aws",
        "MATINEE_FUNCTION_PREFIX": "app-",
    }.items():
        monkeypatch.setenv(name, value)
    settings, session = Settings.from_environment(), open_session()
    prepare(session)
    yield Dispatcher(open_backend(settings), settings, AwsLauncher(session, SETTINGS, prefix="app-"))
    session.close()
    made.close()
    shared_session.cache_clear()


def test_from_submit_to_a_worker_killed_and_the_next_one(app):
    component = ComponentManifest(
        "plans", "hash", "v1", (PredictorManifest("plan", "batch", "plans", "", {}, {}, Resources()),)
    )
    store, ecs = app.backend.store, app.launcher._ecs._client()
    store.put_release(Release("app", "App", 1, 0.0, (component,)))
    run = Run(new_run_id(), "plan", "batch", "ada", Status.QUEUED, {}, created_at=time.time())
    store.submit([run])

    assert app.act({"predictor": "plan"}, time.time())["pools"][0]["launched"] == 1
    assert app.act({"predictor": "plan"}, time.time())["pools"][0]["launched"] == 0
    first = store.pool("plan").slots[0]
    task = ecs.describe_tasks(cluster="app", tasks=[first.handle])["tasks"][0]
    told = {e["name"]: e["value"] for e in task["overrides"]["containerOverrides"][0]["environment"]}
    assert told == {"MATINEE_PREDICTOR": "plan", "MATINEE_SLOT_TOKEN": first.token, "MATINEE_SLOT_NUMBER": "0"}

    ecs.stop_task(cluster="app", task=first.handle)
    stopped = {"detail-type": "ECS Task State Change", "detail": {"lastStatus": "STOPPED", "group": task["group"]}}
    note = app.act(stopped, time.time())["pools"][0]["note"]
    assert "ended before it could start: It was told to end" in note, (
        "a worker that dies at once is not restarted at once"
    )
    assert store.run(run.id).status is Status.QUEUED
    assert app.act({}, time.time() + 60)["pools"][0]["launched"] == 1
    second = store.pool("plan").slots[0]
    assert second.token != first.token
    app.launcher.stop(second)
