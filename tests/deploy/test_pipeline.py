"""A deployment on MiniStack, from the first to the last, without an engine: images are manifests, functions answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy import current_state
from matinee.deploy.cloud import Cloud, Note, ResourceMoved, Step, Tried, open_cloud
from matinee.deploy.pipeline import deploy, push
from matinee.deploy.plan import Deployed, DeployOptions, plan
from matinee.deploy.releases import rollback, versions
from matinee.deploy.stack_state import describe
from matinee.errors import BackendError, MatineeError, NotFoundError, UsageError
from matinee.names import Names
from matinee.rehearsal.world import REGION


def alias(cloud: Cloud, predictor: str = "hello") -> dict:
    found = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource(predictor), Name="live")
    return {k: found[k] for k in ("FunctionVersion",)}


def image_of(cloud: Cloud, version: str, predictor: str = "hello") -> str:
    name = cloud.names.resource(predictor)
    return cloud.call("lambda", "get_function", FunctionName=name, Qualifier=version)["Code"]["ImageUri"]


def test_the_first_deployment_makes_everything_and_a_release(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    done = go(app())
    assert (done.release, done.changed, done.versions) == (1, True, {"hello": "v1", "count": "v1"})
    assert pretend.calls == [("hello", "1")], "the example ran on the version by its number, before the alias moved"
    release = current_state.read_release(cloud).release
    aws = release.details["aws"]
    assert aws["functions"] == {"hello": "1"}
    assert aws["definitions"].keys() == {"hello", "count"}
    assert aws["definitions"]["count"].endswith(f":task-definition/{cloud.names.resource('count')}:1")
    assert aws["images"].keys() == {"hello", "count", "matinee-ui"}
    assert all("@sha256:" in image for image in aws["images"].values())
    assert (aws["bucket"], aws["stage"], aws["region"]) == (cloud.bucket, "dev", REGION)
    assert {c.name: c.image for c in release.components}["hello"] == aws["images"]["hello"].partition("@")[2]
    assert alias(cloud) == {"FunctionVersion": "1"}
    steps = [event.text for event in go.told if isinstance(event, Step)]
    assert steps[2:6] == ["What is kept: images, table, bucket", "The network", steps[4], "What runs"]
    assert any(isinstance(e, ResourceMoved) and e.resource == "function FunctionHello" for e in go.told)


def test_nothing_is_done_where_nothing_changed(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    folder = app()
    go(folder)
    pretend.images.pushed.clear()
    pretend.calls.clear()
    again = go(folder)
    assert (again.release, again.changed) == (1, False)
    assert (pretend.images.pushed, pretend.calls) == ([], [])
    assert not [event for event in go.told if isinstance(event, ResourceMoved)]


def test_a_changed_component_is_pushed_alone_and_gets_the_next_version(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    pretend.images.pushed.clear()
    done = go(app(word="Hi"))
    assert (done.release, done.versions) == (2, {"hello": "v2", "count": "v1"})
    assert pretend.images.pushed == ["hello"]
    assert alias(cloud) == {"FunctionVersion": "2"}
    assert image_of(cloud, "1") != image_of(cloud, "2")
    moved = {event.resource for event in go.told if isinstance(event, ResourceMoved)}
    assert "dynamodb table" not in str(moved)


def test_correction_1_code_that_comes_back_is_a_version_again_and_keeps_its_label(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    go(app())
    go(app(word="Hi"))
    done = go(app())
    assert done.versions["hello"] == "v1"
    version = alias(cloud)["FunctionVersion"]
    assert image_of(cloud, version) == image_of(cloud, "1")


def test_a_version_that_fails_its_example_never_goes_live(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    pretend.answers["hello"] = ValueError("no greeting today")
    folder = app(word="Hi")
    with pytest.raises(BackendError) as raised:
        go(folder)
    assert raised.value.message.startswith("hello fails its first example on AWS: hello raised ValueError: no greeting")
    assert "What was live before goes on." in raised.value.hint
    assert [event.problem[:10] for event in go.told if isinstance(event, Tried)] == ["hello rais"]
    assert alias(cloud) == {"FunctionVersion": "1"}
    assert current_state.read_release(cloud).number == 1
    pretend.answers["hello"] = "Hi Ada"
    assert go(folder).release == 2, "the next try goes on where this one stopped"
    assert alias(cloud) == {"FunctionVersion": "2"}


def test_a_result_of_another_type_than_declared_is_a_failure(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    pretend.answers["hello"] = 42
    with pytest.raises(BackendError, match="does not fit its type"):
        go(app())
    assert current_state.read_release(cloud).release is None


def test_a_stack_update_that_fails_leaves_the_former_release_serving(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    name = f"/{cloud.names.app}/taken"
    cloud.call("ssm", "put_parameter", Name=name, Type="String", Value="mine")
    properties = {"Name": name, "Type": "String", "Value": "ours"}
    pretend.more["Taken"] = {"Type": "AWS::SSM::Parameter", "Properties": properties}
    with pytest.raises(BackendError) as raised:
        go(app(word="Hi"))
    assert f"The stack {cloud.names.base} could not be updated: the ssm parameter Taken failed" in raised.value.message
    assert describe(cloud, cloud.names.base).status == "UPDATE_ROLLBACK_COMPLETE"
    assert (alias(cloud), current_state.read_release(cloud).number) == ({"FunctionVersion": "1"}, 1)
    pretend.more.clear()
    assert go(app(word="Hi")).versions["hello"] == "v2"


def test_only_one_component_goes_live_without_a_stack_update_and_the_next_deployment_keeps_it(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    before = describe(cloud, cloud.names.base)
    folder = app(word="Hi", plus=2)
    done = go(folder, only="count")
    assert (done.release, done.versions) == (2, {"hello": "v1", "count": "v2"})
    definitions = current_state.read_release(cloud).aws.definitions
    assert definitions["count"].endswith(":2")
    found = cloud.call("ecs", "describe_task_definition", taskDefinition=definitions["count"])["taskDefinition"]
    (container,) = found["containerDefinitions"]
    assert container["image"] == current_state.read_release(cloud).aws.images["count"]
    assert {"name": "MATINEE_LABEL", "value": "v2"} in container["environment"]
    done = go(folder, only="hello")
    assert (done.release, alias(cloud)) == (3, {"FunctionVersion": "2"})
    assert describe(cloud, cloud.names.base) == before, "the stack was not touched"
    pretend.images.pushed.clear()
    done = go(folder)
    assert (done.versions, pretend.images.pushed) == ({"hello": "v2", "count": "v2"}, [])
    assert image_of(cloud, alias(cloud)["FunctionVersion"]) == current_state.read_release(cloud).aws.images["hello"]


def test_a_full_deployment_sets_right_what_only_had_left_in_the_function(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    go(app())
    go(app(word="Hi"), only="hello")
    done = go(app())  # the source as it was: the stack's parameters are what they were, and it has nothing to do
    assert done.versions["hello"] == "v1"
    assert image_of(cloud, alias(cloud)["FunctionVersion"]) == image_of(cloud, "1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"more": ", timeout_s=99"}, "timeout_s of count changed"),
        ({"toml": "[predictors.count]\nmemory_mb = 1024\n"}, "memory_mb of count changed"),
    ],
)
def test_only_refuses_what_needs_the_stack(
    app: Callable[..., Path], go: Callable[..., Deployed], change: dict, why: str
) -> None:
    go(app())
    with pytest.raises(UsageError) as raised:
        go(app(plus=5, **change), only="count")
    assert raised.value.message == f"--only cannot do this: {why}."


def test_only_needs_something_live(app: Callable[..., Path], go: Callable[..., Deployed]) -> None:
    with pytest.raises(NotFoundError) as raised:
        go(app(), only="count")
    assert str(raised.value) == "Nothing is live on this stage yet. Deploy the whole app first: `matinee deploy`."


def test_a_component_goes_back_to_a_version_and_the_whole_app_to_a_release(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    folder = app()
    go(folder)
    go(app(word="Hi"))
    go(app(word="Hey", plus=2))
    back = rollback(folder, "dev", pretend.tools, name="hello")
    assert (back.release, back.before["hello"], back.after) == (4, "v3", {"hello": "v2", "count": "v2"})
    assert alias(cloud) == {"FunctionVersion": "2"}
    back = rollback(folder, "dev", pretend.tools, name="hello", to="v1")
    assert (back.after["hello"], alias(cloud)) == ("v1", {"FunctionVersion": "1"})
    back = rollback(folder, "dev", pretend.tools, to="3")
    assert (back.release, back.after, alias(cloud)) == (6, {"hello": "v3", "count": "v2"}, {"FunctionVersion": "3"})
    listed = versions(folder, "dev", pretend.tools)
    assert [(r.component, r.label, r.release, r.is_live) for r in listed.rows] == [
        ("count", "v2", 3, True),
        ("count", "v1", 1, False),
        ("hello", "v3", 3, True),
        ("hello", "v2", 2, False),
        ("hello", "v1", 1, False),
    ]
    assert [past.note for past in listed.releases[:3]] == [
        "rollback to release 3",
        "rollback of hello to release 1",
        "rollback of hello to release 2",
    ]
    assert go(app(word="Yo")).versions["hello"] == "v4", "a number is never given twice"


BACK = {
    "a version that is not kept": ({"name": "hello", "to": "v9"}, "There is no version v9 of hello. There is: v1"),
    "a version that is live": ({"name": "hello", "to": "v1"}, "hello v1 is live already."),
    "a component there is not": ({"name": "hullo"}, "There is no component or predictor 'hullo'."),
    "a version of nothing": ({"to": "v1"}, "'v1' is a component's version. Name the component"),
    "a release there is not": ({"to": "7"}, "There is no release 7 to go back to. There is: 1."),
    "nothing before": ({}, "There is no release before the one that is live."),
    "nothing before of one": ({"name": "count"}, "There is no version of count before the one that is live."),
}


def test_where_there_is_nothing_to_go_back_to_it_is_said(
    app: Callable[..., Path], go: Callable[..., Deployed], pretend: Pretend
) -> None:
    folder = app()
    go(folder)
    for wanted, said in BACK.values():
        with pytest.raises(MatineeError) as raised:
            rollback(folder, "dev", pretend.tools, **wanted)
        assert str(raised.value).startswith(said)
        assert raised.value.hint


def test_a_predictor_that_was_taken_out_does_not_come_back_without_its_role(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    folder = app()
    go(folder)
    toml = folder / "matinee.toml"
    toml.write_text(toml.read_text().replace(', "count.py"', ""))
    go(folder)
    with pytest.raises(BackendError) as raised:
        rollback(folder, "dev", pretend.tools, to="1")
    assert raised.value.message == "count cannot go back: it was taken out of the app since, and its role with it."
    assert current_state.read_release(cloud).number == 2


def test_a_plan_changes_nothing_and_an_unchanged_app_costs_at_most_twenty_calls(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend, asked: list[str]
) -> None:
    folder = app()
    first = plan(folder, "dev", pretend.tools)
    assert first.is_first
    assert {"function", "service", "table", "bucket"} <= {line.kind for line in first.lines}
    assert describe(cloud, cloud.names.base) is None
    assert describe(cloud, cloud.names.data_stack) is None
    go(folder)
    asked.clear()
    same = plan(folder, "dev", pretend.tools)
    assert same.is_empty
    assert len(asked) <= 20, asked
    print(f"calls of an unchanged plan: {len(asked)}")
    change = plan(app(word="Hi", more=", timeout_s=99"), "dev", pretend.tools)
    assert [(v.component, v.before, v.after, v.must_build) for v in change.versions] == [
        ("hello", "v1", "v2", True),
        ("count", "v1", "v2", True),
    ]
    assert {(line.effect, line.name) for line in change.lines} >= {("change", cloud.names.resource("hello"))}
    assert not change.lost
    assert current_state.read_release(cloud).number == 1
    assert go(app()).changed is False


def test_a_person_who_says_no_has_nothing_made(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, go: Callable[..., Deployed]
) -> None:
    folder = app()
    done = deploy(folder, DeployOptions(), pretend.tools, confirm=lambda _: False)
    assert (done.declined, done.changed) == (True, False)
    assert describe(cloud, cloud.names.data_stack) is None
    go(folder)
    done = deploy(app(word="Hi"), DeployOptions(), pretend.tools, confirm=lambda _: False)
    assert (done.declined, current_state.read_release(cloud).number, alias(cloud)) == (
        True,
        1,
        {"FunctionVersion": "1"},
    )


def test_two_stages_stand_side_by_side(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    go(app(word="Hi"), stage="prod")
    prod = open_cloud(Names(cloud.names.app, "prod"), cloud.session.settings)
    assert current_state.read_release(prod).number == current_state.read_release(cloud).number == 1
    assert image_of(cloud, "1") != image_of(prod, "1")
    assert prod.bucket != cloud.bucket
    assert go(app()).changed is False


def test_images_are_pushed_ahead(app: Callable[..., Path], go: Callable[..., Deployed], pretend: Pretend) -> None:
    folder = app()
    with pytest.raises(NotFoundError, match="no image repository yet"):
        push(folder, "dev", pretend.tools)
    assert go(folder, data_only=True).changed
    assert go(folder, data_only=True).changed is False
    pushed = push(folder, "dev", pretend.tools, name="hello")
    assert [(image.component, image.was_there) for image in pushed] == [("hello", False)]
    pushed = push(folder, "dev", pretend.tools)
    assert [(image.component, image.was_there) for image in pushed] == [
        ("hello", True),
        ("count", False),
        ("matinee-ui", False),
    ]
    pretend.images.pushed.clear()
    go(folder)
    assert pretend.images.pushed == []


def test_a_predictor_without_an_example_goes_live_untried_and_that_is_said(
    app: Callable[..., Path], go: Callable[..., Deployed], pretend: Pretend
) -> None:
    folder = app()
    (folder / "hello.py").write_text((folder / "hello.py").read_text().replace(', examples=[{"name": "Ada"}]', ""))
    go(folder)
    assert pretend.calls == []
    assert "hello has no example, so its new version was not tried." in [e.text for e in go.told if isinstance(e, Note)]


def test_correction_5_without_cloudfront_the_app_is_live_and_the_way_out_is_said(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    name = f"/{cloud.names.app}/edge"
    cloud.call("ssm", "put_parameter", Name=name, Type="String", Value="mine")
    pretend.edge["Distribution"] = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": name, "Type": "String", "Value": "ours"},
    }
    folder = app()
    with pytest.raises(BackendError) as raised:
        go(folder)
    assert raised.value.message.startswith("The app is live, and has no public address. The stack ")
    assert current_state.read_release(cloud).number == 1
    cloud.call("ssm", "delete_parameter", Name=name)
    done = go(folder)
    assert (done.release, done.changed, done.url) == (1, True, "https://app.example.com")
    assert current_state.read_release(cloud).aws.url == "https://app.example.com", (
        "the release says where the app is open"
    )
    assert go(folder).changed is False


def test_cloudfront_s_address_goes_before_the_load_balancer_it_holds(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    pretend.edge["Distribution"] = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "ours"}}
    go(app())
    assert describe(cloud, cloud.names.edge_stack) is not None
    public = app(toml='[aws]\nedge = "alb"\n')
    planned = plan(public, "dev", pretend.tools)
    assert ("remove", "public address") in [(line.effect, line.kind) for line in planned.lines]
    done = go(public)
    assert describe(cloud, cloud.names.edge_stack) is None
    assert done.url.startswith("http://")
    steps = [event.text for event in go.told if isinstance(event, Step)]
    assert steps.index("The former public address (CloudFront takes minutes)") < steps.index("What runs")


def test_a_part_of_the_calls_goes_to_a_new_version_until_it_gets_all(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    go(app())
    folder = app(word="Hi")
    go(folder, only="hello", share=0.1)
    found = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource("hello"), Name="live")
    assert (found["FunctionVersion"], found["RoutingConfig"]["AdditionalVersionWeights"]) == ("1", {"2": 0.1})
    assert go(folder, only="hello", share=0.5).changed
    found = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource("hello"), Name="live")
    assert found["RoutingConfig"]["AdditionalVersionWeights"] == {"2": 0.5}
    assert go(folder, only="hello").changed
    assert alias(cloud) == {"FunctionVersion": "2"}
    assert go(folder, only="hello").changed is False
