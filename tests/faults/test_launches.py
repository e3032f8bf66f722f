"""RunTask is throttled or finds no capacity, the task dies at its start or is taken back: every run comes to an end."""

from __future__ import annotations

import json
import time

import pytest

from matinee.backends.aws import session as aws_session
from matinee.backends.aws.launcher import EcsLauncher
from matinee.backends.aws.session import Session
from matinee.backends.factory import open_backend
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.queue.claims import finish, leave_unless_due, renew_slot
from matinee.runs import Run, Status, new_run_id, succeed
from matinee.runtime.dispatcher import Dispatcher
from matinee.settings import AwsSettings, LaunchSettings, Settings
from matinee.testing.store_contract_runs import claim_next
from support.wire import Wire

from .conftest import N

ARN = "arn:aws:ecs:eu-central-1:000000000000:task/app/"
SPOT = {"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."}
PULL = {
    "stopCode": "TaskFailedToStart",
    "stoppedReason": "CannotPullContainerError: pull image manifest has been retried 1 time(s): plans:1: not found",
}
FAILURES = [{"arn": "arn", "reason": "Capacity is unavailable at this time. Please try again later", "detail": ""}]


class App:
    """A dispatcher whose every question to ECS is answered by the test, which is also its workers."""

    def __init__(self, folder, session, *, spot):
        self.settings = Settings(data=folder)
        self.wire = Wire(session.client("ecs"))
        where = LaunchSettings("app", ("subnet-a", "subnet-b"), ("sg-1",), spot=spot)
        self.dispatcher = Dispatcher(
            open_backend(self.settings), self.settings, EcsLauncher(session, where, lambda name: f"app-{name}:1")
        )
        self.store = self.dispatcher.backend.store
        plan = PredictorManifest("plan", "batch", "plans", "", N, {}, Resources())
        self.store.put_release(Release("app", "App", 1, 0.0, (ComponentManifest("plans", "hash", "v1", (plan,)),)))
        self.now = time.time()
        self.tasks = 0

    def submit(self):
        (run,) = self.store.submit([Run(new_run_id(), "plan", "batch", "ana", Status.QUEUED, {"n": 1}, self.now)])
        return run.id

    def starts(self):
        self.tasks += 1
        self.says("RunTask", tasks=[{"taskArn": f"{ARN}{self.tasks}"}], failures=[])

    def stopped(self, **told):
        task = {"taskArn": f"{ARN}{self.tasks}", "lastStatus": "STOPPED", **told}
        self.says("DescribeTasks", tasks=[task], failures=[])

    def says(self, operation, **answer):
        self.wire.answer(operation, 200, json.dumps(answer).encode())

    def act(self, event=None):
        """A minute later: the backstop, or what has happened."""
        self.now += 60
        (pool,) = self.dispatcher.act(event or {"predictor": "plan"}, self.now)["pools"]
        return pool

    def worker(self):
        """The one worker there is: it claims."""
        (slot,) = self.store.pool("plan").slots
        assert renew_slot(self.store, slot, now=self.now)
        return slot, claim_next(self.store, slot.token, self.now)

    def works(self):
        """The one worker there is does all that is to do."""
        slot, claimed = self.worker()
        finish(self.store, claimed[0], lambda run, _: succeed(run, result=2, now=self.now))
        leave_unless_due(self.store, slot, self.now)


ENDED = {"detail": {"lastStatus": "STOPPED", "group": "matinee:plan"}}


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(aws_session, "ATTEMPTS", 2)  # the SDK's own: with more, this would wait for it
    session = Session(AwsSettings("table", "bucket", "eu-central-1", "http://127.0.0.1:9"))
    made = []

    def app(*, spot=False):
        made.append(App(tmp_path, session, spot=spot))
        if spot:
            made[-1].says("ListTasks", taskArns=[])  # none was interrupted before
        return made[-1]

    yield app
    for one in made:
        one.store.close()
    session.close()


def test_run_task_throttled_again_and_again_starts_one_task_in_the_end(make):
    app = make()
    run_id = app.submit()
    app.wire.refuse("RunTask", "ThrottlingException", times=4)
    assert [(app.act()["launched"], "asked too often" in app.store.pool("plan").note) for _ in range(2)] == [
        (0, True),
        (0, True),
    ]
    assert app.store.run(run_id).status is Status.QUEUED
    app.starts()
    app.says("DescribeTasks", tasks=[{"taskArn": f"{ARN}1", "lastStatus": "PROVISIONING"}], failures=[])
    assert app.act()["note"] == ""
    app.works()
    assert app.store.run(run_id).status is Status.SUCCEEDED
    assert len({sent.body["clientToken"] for sent in app.wire.sent if sent.operation == "RunTask"}) == 1


def test_run_task_without_capacity_leaves_the_run_queued_with_the_reason_until_there_is_some(make):
    app = make(spot=True)
    run_id = app.submit()
    for _ in ("FARGATE_SPOT", "FARGATE"):
        app.says("RunTask", tasks=[], failures=FAILURES)
    assert "no Fargate capacity" in app.act()["note"]
    assert (app.store.run(run_id).status, app.store.pool("plan").slots) == (Status.QUEUED, ())
    app.starts()
    assert app.act()["launched"] == 1
    app.works()
    assert app.store.run(run_id).status is Status.SUCCEEDED
    launches = [sent.body for sent in app.wire.sent if sent.operation == "RunTask"]
    providers = [body["capacityProviderStrategy"][0]["capacityProvider"] for body in launches]
    assert providers == ["FARGATE_SPOT", "FARGATE", "FARGATE"]


def test_a_task_that_dies_at_every_start_fails_its_run_with_the_reason(make):
    app = make()
    run_id = app.submit()
    notes = []
    for _ in range(3):
        app.starts()
        app.act()
        app.stopped(**PULL)
        notes.append(app.act(ENDED)["note"])
    run = app.store.run(run_id)
    assert all("Its image does not exist any more" in note for note in notes)
    assert (run.status, run.attempt, run.losses) == (Status.FAILED, 0, 3)
    assert (run.failure.kind, run.result) == ("start", None)
    assert "No worker could start: Its image does not exist any more: deploy the app again" in run.failure.message
    assert app.act()["launched"] == 0, "nothing is left to launch for"
    assert (app.store.entries("plan"), app.store.pool("plan").slots) == ([], ())


def test_each_worker_that_never_began_counts_against_a_run_of_its_own(make):
    app = make()
    first, second = app.submit(), app.submit()
    app.starts()
    app.act()
    app.stopped(**PULL)
    app.act(ENDED)
    assert [app.store.run(run_id).losses for run_id in (first, second)] == [1, 0]


def test_a_task_taken_back_before_it_began_counts_against_no_run(make):
    app = make(spot=True)
    run_id = app.submit()
    for _ in range(4):
        app.starts()
        app.act()
        app.stopped(**SPOT)
        assert "Spot capacity" in app.act(ENDED)["note"]
    assert (app.store.run(run_id).status, app.store.run(run_id).losses) == (Status.QUEUED, 0)


def test_a_task_that_spot_takes_back_gives_its_run_to_the_next_one_on_demand(make):
    app = make(spot=True)
    run_id = app.submit()
    app.starts()
    app.act()
    app.worker()
    assert app.store.run(run_id).status is Status.RUNNING
    app.stopped(**SPOT)
    app.starts()
    assert app.act(ENDED)["launched"] == 1
    app.works()
    run = app.store.run(run_id)
    assert (run.status, run.attempt, run.losses) == (Status.SUCCEEDED, 2, 1)
    sent = [sent.body for sent in app.wire.sent if sent.operation == "RunTask"]
    assert [body["capacityProviderStrategy"][0]["capacityProvider"] for body in sent] == ["FARGATE_SPOT", "FARGATE"]


def test_a_run_whose_every_worker_is_taken_back_fails_with_the_reason(make):
    app = make()
    run_id = app.submit()
    app.starts()
    app.act()
    for left in (2, 1, 0):
        app.worker()
        app.stopped(**SPOT)
        if left:
            app.starts()
        app.act(ENDED)
    run = app.store.run(run_id)
    assert (run.status, run.failure.kind, run.attempt) == (Status.FAILED, "lost", 3)
    assert "lost 3 times" in run.failure.message


def test_a_task_that_aws_does_not_know_any_more_frees_its_slot_and_its_run(make):
    app = make()
    run_id = app.submit()
    app.starts()
    app.act()
    app.worker()
    missing = {"tasks": [], "failures": [{"arn": f"{ARN}1", "reason": "MISSING"}]}
    app.says("DescribeTasks", **missing)
    assert app.act()["launched"] == 0, "it may only have begun"
    app.dispatcher.launcher._clock = lambda: app.now
    app.now += 600
    app.says("DescribeTasks", **missing)
    app.starts()
    assert app.act()["launched"] == 1
    app.works()
    assert app.store.run(run_id).status is Status.SUCCEEDED
