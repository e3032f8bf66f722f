"""Both examples, deployed by the real deploy to an emulated AWS and run from there: a whole life, in order."""

from __future__ import annotations

import csv
import http.client
import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import urllib3
from botocore.exceptions import ClientError

import matinee
from matinee.backends.aws.launcher import EcsLauncher
from matinee.backends.aws.session import Session
from matinee.backends.factory import open_backend
from matinee.client.core import Client
from matinee.errors import NotFoundError
from matinee.lambda_api import invoker
from matinee.ports import RunQuery
from matinee.rehearsal.failures import KINDS
from matinee.rehearsal.iam import statements_of
from matinee.rehearsal.images import FolderSource
from matinee.rehearsal.rehearsal import Rehearsal, make_deployer, working_as
from matinee.rehearsal.world import world
from matinee.runs import Slot, Status, new_run_id
from matinee.settings import DISPATCHER, AwsSettings, LaunchSettings, Settings
from matinee.testing.harness import wait_until
from support.emulators import skip_if_unavailable
from support.recorded_calls import is_refused

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", params=["activity", "digits"])
def stage(request, tmp_path_factory):
    app = tmp_path_factory.mktemp("apps") / request.param
    shutil.copytree(EXAMPLES / request.param, app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    folder = app / ".matinee" / "rehearsal"
    with skip_if_unavailable(), world(folder, "eu-central-1") as made:
        deployer = make_deployer(made, app, "dev")
        with working_as(made, deployer):
            stage = Rehearsal(made, app, "dev", FolderSource(made.images), folder, deployer)
            stage.deploy()
            stage.await_usable()
            yield stage


def examples(stage, kind):
    return [p for p in stage.release.predictors if p.kind == kind and p.examples]


def test_it_is_deployed_and_a_second_deploy_finds_nothing_to_do(stage):
    again = stage.deploy()
    assert (again.changed, again.release) == (False, 1)


def test_a_prediction_and_a_batch_run_work_from_a_laptop(stage):
    client = stage.connect()
    for predictor in examples(stage, "realtime"):
        assert client.predict(predictor.name, predictor.examples[0]).status is Status.SUCCEEDED
    for predictor in examples(stage, "batch"):
        run = client.wait(client.submit(predictor.name, predictor.examples[0]).id, timeout_s=120)
        assert run.status is Status.SUCCEEDED, run.failure
        assert client.result(run) is not None


def test_the_same_works_through_the_apps_own_api(stage):
    """Asked at the task's own address, where no token is needed: everything is done with the role of the UI."""
    (replica,) = stage.world.services.get("ui").serving
    with matinee.connect(url=f"http://127.0.0.1:{replica.task.port}") as app:
        for predictor in examples(stage, "realtime"):
            getattr(app, predictor.name)(**predictor.examples[0])
        for predictor in examples(stage, "batch"):
            run = getattr(app, predictor.name).submit(**predictor.examples[0])
            run.result(timeout_s=120)
            run.feedback(1, "good")
            run.logs()


def test_many_rows_are_predicted_by_a_worker_of_the_realtime_predictor(stage):
    client = stage.connect()
    for predictor in examples(stage, "realtime"):
        columns = list(predictor.parameters["properties"])
        row = [cell(predictor.examples[0].get(column, "")) for column in columns]
        table = stage.folder / f"{predictor.name}.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([columns, row, row])
        checked = client.check_rows(predictor.name, table)
        run = client.wait(client.submit_rows(predictor.name, table, checked).id, timeout_s=120)
        assert run.status is Status.SUCCEEDED, run.failure


def cell(value):
    return json.dumps(value) if isinstance(value, dict) else str(value)


def test_the_clock_submits_a_run(stage):
    for predictor in examples(stage, "batch")[:1]:
        told = {"predictor": predictor.name, "scheduled": "2026-11-26T09:00:00Z", "inputs": predictor.examples[0]}
        (backstop,) = [s for s in stage.world.events.schedules() if s.expression == "rate(1 minute)"]
        stage.world.events.fire(replace(backstop, input=json.dumps(told)), 0.0)
        (run,) = wait_until(lambda: stage.connect().runs(RunQuery(user="schedule")), what="the run of the clock")
        assert stage.connect().wait(run.id, timeout_s=120).status is Status.SUCCEEDED


def test_two_people_are_served_by_two_tasks_and_each_stays_with_theirs(stage):
    stage.scale_ui(2)
    cookies = {ask(stage)[1] for _ in range(2)}
    assert len(cookies) == 2
    for cookie in cookies:
        for _ in range(3):
            assert ask(stage, cookie) == (200, cookie)
    stage.scale_ui(1)


def ask(stage, cookie=""):
    connection = http.client.HTTPConnection("127.0.0.1", stage.world.entry.port, timeout=20)
    connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, (answer.getheader("Set-Cookie") or cookie).partition(";")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_that_is_injected_ends_in_a_sentence_that_says_what_happened(stage, kind, capsys):
    sentence = KINDS[kind](stage)
    assert sentence
    with capsys.disabled():
        print(f"\n{kind}: {sentence}")


# What the emulator does not enforce: a key that is missing is "not found" there to whoever may not list, too. That each
# role has it, on its own prefixes, `tests/stack` proves from the templates.
NOT_ENFORCED = {"ListFiles"}


# --- what each role may ---------------------------------------------------------------------------------------------


def roles(stage):
    """Return the deployed roles by name, with their trusted service."""
    iam, prefix = stage.world.clients("iam"), stage.names.prefix
    found = iam.list_roles(MaxItems=1000)["Roles"]
    return {role["RoleName"]: role["Arn"] for role in found if role["RoleName"].startswith(prefix)}


@pytest.fixture
def acting_as(stage):
    """Return a function: what a process works with that has this role alone, every call of it seen by the recorder."""
    with ExitStack() as stack:

        def act(arn):
            who = stage.world.roles.credentials(arn, "its-work")
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in who.environment().items():
                patch.setenv(name, value)
            patch.setattr(invoker, "_clients", {})  # a process has one role, and keeps its client
            names = stage.names
            bucket = names.bucket(stage.world.account, stage.world.region)
            session = Session(AwsSettings(names.base, bucket, stage.world.region, stage.world.endpoint))
            stack.callback(session.close)
            settings = Settings("aws", names.app, function_prefix=names.prefix)
            client = Client(open_backend(settings, session), settings, "ada", owner=True)
            client.session = session
            return client

        yield act


def test_every_role_is_denied_what_is_not_its_own(stage):
    names, world = stage.names, stage.world
    bucket = names.bucket(world.account, world.region)
    called = examples(stage, "realtime")[0].name
    for role, arn in roles(stage).items():
        clients = partial(world.hall.agents, who=world.roles.credentials(arn, "denied"))
        denied = {
            "delete the table": lambda c=clients: c("dynamodb").delete_table(TableName=names.base),
            "list tables": lambda c=clients: c("dynamodb").list_tables(),
            "read another prefix": lambda c=clients: c("s3").get_object(Bucket=bucket, Key="deploy/template.json"),
            "invoke past the alias": lambda c=clients: c("lambda").invoke(FunctionName=names.resource(called)),
            "invoke another's function": lambda c=clients: c("lambda").invoke(FunctionName="matinee-other-dev-x:live"),
            "write logs elsewhere": lambda c=clients: c("logs").create_log_stream(
                logGroupName="/matinee/elsewhere", logStreamName="s"
            ),
            "read another's secret": lambda c=clients: c("ssm").get_parameters(Names=["/matinee/other/dev/TOKEN"]),
            "stop the UI": lambda c=clients: c("ecs").update_service(cluster=names.base, service="ui", desiredCount=0),
        }
        for what, call in denied.items():
            with pytest.raises(ClientError) as refused:
                call()
            code = refused.value.response["Error"]["Code"]
            assert code.startswith("AccessDenied"), f"{role} may {what}: {refused.value}"


def test_who_deploys_may_not_register_workers_of_another_app(stage):
    ecs = stage.world.hall.agents("ecs", who=stage.deployer)
    worker = [{"name": "worker", "image": "any"}]
    with pytest.raises(ClientError) as refused:
        ecs.register_task_definition(family="matinee-other-dev-plan", containerDefinitions=worker)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_the_rest_of_each_roles_work(stage, acting_as):
    """What these examples have no need of, and their roles are for: large values, uploads, a missing file.

    And what a worker does when it leaves runs to the worker of the next release: it asks the dispatcher for that one.
    """
    mine = dict(roles(stage).items())
    ui = acting_as(mine.pop(stage.names.resource("ui")))
    ui.backend.files.put("results/R1/0.json", b"{}")
    ui.backend.files.put("uploads/ada/photo.png", b"png")
    assert ui.backend.files.read("uploads/ada/photo.png") == b"png"
    ui.backend.files.delete(["uploads/ada/photo.png"])
    with pytest.raises(NotFoundError):
        ui.backend.files.read("results/missing")
    ui.runs(RunQuery(user="ada"))
    ui.logs(ui.runs(RunQuery())[0].id)
    for name, arn in mine.items():
        files = acting_as(arn).backend.files
        predictor = name.removeprefix(stage.names.prefix).removesuffix("-worker")
        own = f"inputs/{predictor}"
        ui.backend.files.put(f"{own}/R1.json", b"{}")
        if name.endswith(DISPATCHER):
            lost = Slot("plan", 0, "nobodys", "", taken_at=0.0)  # its dispatcher died before it wrote the handle
            launcher = EcsLauncher(acting_as(arn).session, LaunchSettings(stage.names.base), str)
            assert launcher.status([lost])[lost.token].ended
        batch = examples(stage, "batch")[0]
        if name == stage.names.resource(f"{batch.name}-worker"):
            acting_as(arn).submit(batch.name, batch.examples[0], parent=new_run_id())
        if name.endswith("-worker"):
            acting_as(arn).backend.invoker.poke(DISPATCHER, json.dumps({"predictor": predictor}).encode())
        written = own if name.endswith(DISPATCHER) else "results"
        if not name.endswith(("scheduler", "-execution")):
            acting_as(arn).backend.store.state_get("seen")
            files.put(f"{written}/R1/1.json", b"{}")
            assert files.read(f"{own}/R1.json") == b"{}"
            with pytest.raises(NotFoundError):
                files.read(f"{own}/missing")


def test_every_statement_of_every_role_is_necessary(stage, capsys):
    iam, http = stage.world.clients("iam"), urllib3.PoolManager(retries=False)
    stage.world.ecs.refuse = lambda _request: [{"reason": "the mutation test starts nothing"}]
    proven, unproven = [], []
    for role, arn in roles(stage).items():
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        before, who = statements_of(iam, role), stage.world.roles.credentials(arn, "mutation")
        recorded = stage.world.recorder.calls(arn)
        calls = [call for call in recorded if not is_refused(call, stage.world.endpoint, who, http)]
        for statement in before:
            kept = [other for other in before if other is not statement]
            put_policy(iam, role, name, kept)
            stage.world.judge.forget()
            is_needed = any(is_refused(call, stage.world.endpoint, who, http) for call in calls)
            (proven if is_needed else unproven).append(f"{role.removeprefix(stage.names.prefix)}: {statement['Sid']}")
        put_policy(iam, role, name, before)
    stage.world.judge.forget()
    with capsys.disabled():
        print(f"\n{len(proven)} of {len(proven) + len(unproven)} statements are proven necessary; not: {unproven}")
    assert {one.rpartition(": ")[2] for one in unproven} <= NOT_ENFORCED


def put_policy(iam, role, name, statements):
    if not statements:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
        return
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


# --- its end --------------------------------------------------------------------------------------------------------


def test_destroy_leaves_nothing(stage):
    gone = stage.destroy()
    assert stage.names.base in gone.stacks
    assert not roles(stage)
    assert not stage.world.clients("dynamodb").list_tables()["TableNames"]
    assert not stage.world.clients("s3").list_buckets()["Buckets"]
    assert not stage.world.clients("logs").describe_log_groups(logGroupNamePrefix="/matinee/")["logGroups"]
    wait_until(lambda: all(task.is_stopped for task in stage.world.tasks), what="the end of every task")
