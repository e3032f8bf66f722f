"""Destroying a stage on MiniStack: nothing with its tags is left, and other stages are not touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy import current_state
from matinee.deploy import destroy as deploy_destroy
from matinee.deploy.cloud import Cloud, open_cloud
from matinee.deploy.destroy import Loss, destroy
from matinee.deploy.drain import drain_stage
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions
from matinee.deploy.releases import rollback
from matinee.deploy.stack_changes import delete_stack
from matinee.deploy.stack_state import describe
from matinee.errors import ConflictError, NotFoundError
from matinee.names import NETWORK_STACK, Names


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.deploy.destroy.LAGS_S", 0.1)  # the emulator's list is never behind


def put(cloud: Cloud, key: str, body: bytes = b"x") -> None:
    cloud.call("s3", "put_object", Bucket=cloud.bucket, Key=key, Body=body)


def exists(cloud: Cloud, service: str, operation: str, absent: str, **given) -> bool:
    return cloud.call(service, operation, absent=(absent,), **given) is not None


def test_correction_4_with_data_nothing_is_left_not_even_versions_and_unfinished_uploads(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    versioned = {"Status": "Enabled"}
    cloud.call("s3", "put_bucket_versioning", Bucket=cloud.bucket, VersioningConfiguration=versioned)
    put(cloud, "results/1.json")
    put(cloud, "results/1.json", b"y")
    cloud.call("s3", "delete_object", Bucket=cloud.bucket, Key="results/1.json")
    cloud.call("s3", "create_multipart_upload", Bucket=cloud.bucket, Key="half")
    told: list[Loss] = []
    done = destroy(folder, "dev", pretend.tools, with_data=True, confirm=lambda loss: bool(told.append(loss)) or True)
    assert set(done.stacks) >= {cloud.names.base, cloud.names.data_stack}
    assert (done.left, done.retained) == ((), ())
    assert (told[0].with_data, told[0].images) == (True, 3)
    assert told[0].files >= 1
    assert not exists(cloud, "s3", "head_bucket", "404", Bucket=cloud.bucket)
    assert not exists(cloud, "dynamodb", "describe_table", "ResourceNotFoundException", TableName=cloud.names.base)
    with pytest.raises(NotFoundError, match="There is nothing of the stage dev"):
        destroy(folder, "dev", pretend.tools)


def test_correction_2_task_definitions_that_the_stack_retains_are_removed(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    deploy(app(), DeployOptions(), pretend.tools)
    deploy(app(plus=2), DeployOptions(only="count"), pretend.tools)
    definitions = current_state.read_release(cloud).aws.definitions.values()
    destroy(app(), "dev", pretend.tools)
    for arn in definitions:
        found = cloud.call("ecs", "describe_task_definition", absent=("ClientException",), taskDefinition=arn)
        assert found is None or found["taskDefinition"]["status"] != "ACTIVE"


def test_data_is_kept_unless_it_is_asked_for_and_the_next_deployment_finds_it(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    put(cloud, "results/1.json")
    done = destroy(folder, "dev", pretend.tools)
    assert cloud.names.data_stack not in done.stacks
    assert done.left == ()
    assert any(":table/" in arn for arn in done.retained)
    assert describe(cloud, cloud.names.base) is None
    pretend.images.pushed.clear()
    again = deploy(folder, DeployOptions(), pretend.tools)
    assert (again.release, again.versions["hello"], pretend.images.pushed) == (2, "v1", [])
    assert cloud.call("s3", "get_object", Bucket=cloud.bucket, Key="results/1.json")["Body"].read() == b"x"
    assert pretend.calls == [("hello", "1")] * 2, "the functions are new ones: tried again"
    with pytest.raises(ConflictError) as raised:
        rollback(folder, "dev", pretend.tools, to="1")
    assert raised.value.message.startswith("Release 1 is of before the stage was destroyed")


def test_a_person_who_says_no_loses_nothing(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    done = destroy(folder, "dev", pretend.tools, with_data=True, confirm=lambda _: False)
    assert (done.declined, done.stacks) == (True, ())
    assert current_state.read_release(cloud).number == 1


@pytest.mark.parametrize(("more", "stage"), [("-dev", "x"), ("s", "dev"), ("", "dev2")])
def test_another_app_or_stage_whose_name_begins_alike_is_not_touched(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, more: str, stage: str
) -> None:
    other = open_cloud(Names(cloud.names.app + more, stage), cloud.session.settings)
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    file = folder / "matinee.toml"
    file.write_text(file.read_text().replace(cloud.names.app, other.names.app))
    deploy(folder, DeployOptions(stage=stage), pretend.tools)
    destroy(app(), "dev", pretend.tools, with_data=True)
    assert current_state.read_release(other).number == 1
    for arn in current_state.read_release(other).aws.definitions.values():
        found = cloud.call("ecs", "describe_task_definition", taskDefinition=arn)
        assert found["taskDefinition"]["status"] == "ACTIVE"
    groups = cloud.call("logs", "describe_log_groups", logGroupNamePrefix=other.names.log_group("ui"))
    assert groups["logGroups"]
    assert describe(cloud, NETWORK_STACK) is not None, "the other stands in it"


def test_correction_3_tasks_are_stopped_and_nothing_launches_while_a_stage_goes(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, asked: list[str]
) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    asked.clear()
    destroy(folder, "dev", pretend.tools)
    order = [name for name in asked if name in ("PutFunctionConcurrency", "DisableRule", "ListTasks", "DeleteStack")]
    assert order.index("PutFunctionConcurrency") < order.index("ListTasks") < order.index("DeleteStack")
    assert "DisableRule" in order[: order.index("DeleteStack")]
    assert deploy_destroy.tagged_resources(cloud)


def test_what_a_stack_that_somebody_deleted_left_behind_is_taken_in_again(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    destroy(folder, "dev", pretend.tools)
    delete_stack(cloud, describe(cloud, cloud.names.data_stack), lambda _: None)
    assert exists(cloud, "dynamodb", "describe_table", "ResourceNotFoundException", TableName=cloud.names.base)
    deploy_destroy.empty_bucket(cloud)  # the emulator takes in everything but a bucket
    cloud.call("s3", "delete_bucket", Bucket=cloud.bucket)
    assert deploy(folder, DeployOptions(), pretend.tools).release == 2, "the table is the one that was"


def test_a_stage_whose_destruction_was_broken_off_starts_workers_again_with_the_next_deployment(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    folder = app()
    deploy(folder, DeployOptions(), pretend.tools)
    drain_stage(cloud, lambda _: None)
    deploy(folder, DeployOptions(), pretend.tools)
    dispatcher = cloud.names.resource("matinee-dispatcher")
    kept = cloud.call("lambda", "get_function_concurrency", FunctionName=dispatcher)
    assert "ReservedConcurrentExecutions" not in kept
    rules = cloud.call("events", "list_rules", NamePrefix=cloud.names.prefix)["Rules"]
    assert {rule["State"] for rule in rules} == {"ENABLED"}
    schedule = cloud.call("scheduler", "get_schedule", Name="backstop", GroupName=cloud.names.base)
    assert schedule["State"] == "ENABLED"
