"""The stack driver on MiniStack: create, nothing to do, update, failures with their cause, and every stuck state."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from matinee.deploy.cloud import Cloud, Note, ResourceMoved
from matinee.deploy.stack_changes import INLINE_BYTES, apply, delete_stack, discard, make_change_set, settle
from matinee.deploy.stack_state import ChangeSet, StackSpec, describe
from matinee.errors import BackendError


def silent(_):
    pass


def parameter(name: str, value: object = "x") -> dict:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Name": name, "Type": "String", "Value": value}}


def spec(cloud: Cloud, **resources: dict) -> StackSpec:
    template = {
        "Description": "A test",
        "Parameters": {"Digest": {"Type": "String", "Default": "none"}},
        "Resources": {"Digests": parameter(f"/{cloud.names.app}/digest", {"Ref": "Digest"}), **resources},
        "Outputs": {"Digest": {"Value": {"Ref": "Digest"}}},
    }
    return StackSpec(cloud.names.base, template, {"Digest": "sha256:1"}, {"matinee:app": cloud.names.app})


@pytest.fixture
def one(cloud: Cloud) -> StackSpec:
    return spec(cloud, One=parameter(f"/{cloud.names.app}/one"))


def ssm(cloud: Cloud, name: str) -> str:
    found = cloud.call("ssm", "get_parameter", Name=f"/{cloud.names.app}/{name}", absent=("ParameterNotFound",))
    return found["Parameter"]["Value"] if found else ""


def test_a_stack_is_made_by_a_change_set_with_progress_of_every_resource(cloud: Cloud, one: StackSpec) -> None:
    moved: list[ResourceMoved] = []
    state = apply(cloud, one, moved.append)
    assert state.status == "CREATE_COMPLETE"
    assert state.outputs["Digest"] == "sha256:1"
    assert {"ssm parameter One", "ssm parameter Digests"} < {event.resource for event in moved}
    assert moved[-1].status == "CREATE_COMPLETE"
    assert moved[-1].resource == f"stack {cloud.names.base}"
    assert all(event.elapsed_s >= 0 for event in moved)


def test_what_has_not_changed_costs_one_call(cloud: Cloud, one: StackSpec, calls: list[str]) -> None:
    apply(cloud, one, silent)
    calls.clear()
    assert apply(cloud, one, silent).status == "CREATE_COMPLETE"
    assert calls == ["DescribeStacks"]


def test_a_change_of_a_parameter_alone_is_seen(cloud: Cloud, one: StackSpec) -> None:
    apply(cloud, one, silent)
    state = apply(cloud, replace(one, parameters={"Digest": "sha256:2"}), silent)
    assert (state.status, state.outputs["Digest"]) == ("UPDATE_COMPLETE", "sha256:2")


def effects(changes: ChangeSet) -> set[tuple[str, str]]:
    return {(change.resource, change.effect) for change in changes.changes}


def test_a_change_set_says_what_is_added_changed_and_removed(cloud: Cloud, one: StackSpec) -> None:
    apply(cloud, one, silent)
    app = cloud.names.app
    wanted = spec(cloud, One=parameter(f"/{app}/one", "y"), Two=parameter(f"/{app}/two"))
    changes = make_change_set(cloud, wanted, is_new=False)
    assert effects(changes) == {("One", "change"), ("Two", "add")}
    discard(cloud, changes)
    assert ssm(cloud, "one") == "x", "nothing has changed"
    renamed = make_change_set(cloud, spec(cloud, Two=parameter(f"/{app}/two")), is_new=False)
    assert effects(renamed) == {("One", "remove"), ("Two", "add")}
    discard(cloud, renamed)


def test_correction_14_a_plan_of_a_new_stack_leaves_no_stack_in_review(cloud: Cloud, one: StackSpec) -> None:
    discard(cloud, make_change_set(cloud, one, is_new=True))
    assert describe(cloud, cloud.names.base) is None


def test_correction_14_a_template_over_51200_bytes_goes_by_the_bucket(cloud: Cloud, calls: list[str]) -> None:
    where = {"LocationConstraint": cloud.region}
    cloud.call("s3", "create_bucket", Bucket=cloud.bucket, CreateBucketConfiguration=where)
    calls.clear()
    many = {f"P{i}": parameter(f"/{cloud.names.app}/{i}", "x" * 900) for i in range(60)}
    wanted = spec(cloud, **many)
    assert len(wanted.body) > INLINE_BYTES
    assert apply(cloud, wanted, silent).status == "CREATE_COMPLETE"
    assert "PutObject" in calls
    assert ssm(cloud, "59") == "x" * 900


def test_correction_14_a_first_create_that_fails_is_deleted_and_its_first_cause_told(cloud: Cloud) -> None:
    app = cloud.names.app
    cloud.call("ssm", "put_parameter", Name=f"/{app}/taken", Type="String", Value="mine")
    wanted = spec(cloud, One=parameter(f"/{app}/one"), Taken=parameter(f"/{app}/taken"))
    with pytest.raises(BackendError) as raised:
        apply(cloud, wanted, silent)
    assert "could not be created: the ssm parameter Taken failed:" in raised.value.message
    assert "already exists" in raised.value.message
    assert "another name in matinee.toml" in raised.value.hint
    assert describe(cloud, cloud.names.base) is None
    assert (ssm(cloud, "taken"), ssm(cloud, "one")) == ("mine", "")


def test_a_failed_update_rolls_back_and_the_next_one_goes_on(cloud: Cloud, one: StackSpec) -> None:
    apply(cloud, one, silent)
    app = cloud.names.app
    cloud.call("ssm", "put_parameter", Name=f"/{app}/taken", Type="String", Value="mine")
    wanted = spec(cloud, One=parameter(f"/{app}/one", "y"), Taken=parameter(f"/{app}/taken"))
    with pytest.raises(BackendError, match="could not be updated: the ssm parameter Taken failed"):
        apply(cloud, wanted, silent)
    assert describe(cloud, cloud.names.base).status == "UPDATE_ROLLBACK_COMPLETE"
    assert ssm(cloud, "one") == "x"
    cloud.call("ssm", "delete_parameter", Name=f"/{app}/taken")
    assert apply(cloud, wanted, silent).status == "UPDATE_COMPLETE"


def test_a_template_that_is_refused_says_why_and_leaves_nothing(cloud: Cloud) -> None:
    with pytest.raises(BackendError) as raised:
        apply(cloud, spec(cloud, One={"Type": "AWS::Nobody::Knows"}), silent)
    assert f"CloudFormation does not take the template of {cloud.names.base}: " in raised.value.message
    assert "AWS::Nobody::Knows" in raised.value.message
    assert settle(cloud, cloud.names.base, silent) is None


def raw_create(cloud: Cloud, wanted: StackSpec, **more) -> None:
    client = cloud.session.client("cloudformation")
    client.create_stack(StackName=wanted.name, TemplateBody=json.dumps(wanted.template), **more)


def status_of(cloud: Cloud) -> str:
    return describe(cloud, cloud.names.base).status


def look_and_settle(cloud: Cloud, status: str) -> None:
    while status_of(cloud) != status:
        cloud.pause()


def test_a_stack_left_in_rollback_complete_is_removed_and_made_anew(cloud: Cloud, one: StackSpec) -> None:
    app = cloud.names.app
    cloud.call("ssm", "put_parameter", Name=f"/{app}/taken", Type="String", Value="mine")
    raw_create(cloud, spec(cloud, Taken=parameter(f"/{app}/taken")))
    look_and_settle(cloud, "ROLLBACK_COMPLETE")
    notes: list[object] = []
    assert apply(cloud, one, notes.append).status == "CREATE_COMPLETE"
    assert Note(f"The first creation of {one.name} had failed (ROLLBACK_COMPLETE): what it left is removed.") in notes


def test_a_stack_left_in_review_by_an_interrupted_plan_is_made_anew(cloud: Cloud, one: StackSpec) -> None:
    make_change_set(cloud, one, is_new=True)
    assert status_of(cloud) == "REVIEW_IN_PROGRESS"
    assert apply(cloud, one, silent).status == "CREATE_COMPLETE"


def test_a_change_set_that_was_not_executed_is_no_obstacle(cloud: Cloud, one: StackSpec) -> None:
    apply(cloud, one, silent)
    wanted = replace(one, parameters={"Digest": "sha256:2"})
    make_change_set(cloud, wanted, is_new=False)
    assert apply(cloud, wanted, silent).outputs["Digest"] == "sha256:2"


def test_a_deleted_stack_is_gone_and_deleting_it_again_is_no_error(cloud: Cloud, one: StackSpec) -> None:
    state = apply(cloud, one, silent)
    delete_stack(cloud, state, silent)
    assert describe(cloud, cloud.names.base) is None
    delete_stack(cloud, state, silent)


def test_what_cloudformation_refuses_before_it_begins_is_told_by_name(cloud: Cloud) -> None:
    cloud.call(
        "s3", "create_bucket", Bucket=cloud.bucket, CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    taken = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": cloud.bucket}}
    with pytest.raises(BackendError) as raised:
        apply(cloud, spec(cloud, Bucket=taken), silent)
    assert "could not be created: the bucket Bucket failed: " in raised.value.message
    assert "already exist" in raised.value.message
    assert "DescribeEvents" not in raised.value.message
    assert "another name in matinee.toml" in raised.value.hint
