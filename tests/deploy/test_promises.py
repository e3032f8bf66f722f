"""What a deployment promises of its order: who agrees first, what answers meanwhile, what is never lost."""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.stub import ANY, Stubber
from pretending import Pretend

from matinee.deploy import current_state, desired_state, pipeline
from matinee.deploy import versions as deploy_versions
from matinee.deploy.cloud import Cloud, Note
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import Deployed, DeployOptions, plan
from matinee.deploy.stack_state import describe
from matinee.errors import BackendError, ConflictError, NotFoundError, UsageError
from matinee.names import NETWORK_STACK
from matinee.stack.templates import network_template

Answers = Callable[[str], Stubber]
ADDRESS = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "ours"}}
BYE = """
    from matinee import realtime
    @realtime(memory_mb=256)
    def bye(name: str) -> str:
        return "Bye " + name
"""


def with_bye(folder: Path) -> Path:
    (folder / "bye.py").write_text(textwrap.dedent(BYE))
    file = folder / "matinee.toml"
    file.write_text(file.read_text().replace('"hello.py"', '"hello.py", "bye.py"'))
    return folder


def versions_of(cloud: Cloud, predictor: str = "hello") -> list[str]:
    name = cloud.names.resource(predictor)
    return [v["Version"] for v in cloud.pages("lambda", "list_versions_by_function", "Versions", FunctionName=name)]


# --- the person agrees first ------------------------------------------------------------------------------------


def test_nothing_is_pushed_before_the_person_agrees_to_a_later_deployment(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(app())
    pretend.images.pushed.clear()
    shown = []

    def refuse(summary) -> bool:
        shown.append((summary.versions[0].after, [line.kind for line in summary.lines], list(pretend.images.pushed)))
        return False

    done = deploy(app(word="Hi"), DeployOptions(), pretend.tools, confirm=refuse)
    assert (done.declined, pretend.images.pushed) == (True, [])
    (seen,) = shown
    assert seen[0] == "v2"
    assert "function" in seen[1], "what changes is known without the image"
    assert go(app(word="Hi")).versions["hello"] == "v2"
    assert pretend.images.pushed == ["hello"]


# --- names before engines ---------------------------------------------------------------------------------------


def without_engine(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(*_: object) -> None:
        raise BackendError("There is no container engine.")

    monkeypatch.setattr(pretend.images, "plan", no_engine)


def test_table_and_bucket_alone_need_no_engine(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend, monkeypatch
) -> None:
    without_engine(pretend, monkeypatch)
    assert go(app(), data_only=True).changed
    assert describe(cloud, cloud.names.data_stack) is not None


def test_a_name_is_looked_at_before_an_engine_is_looked_for(
    app: Callable[..., Path], go: Callable[..., Deployed], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_engine(pretend, monkeypatch)
    with pytest.raises(NotFoundError, match="There is no component or predictor 'helo'"):
        go(app(), only="helo")
    with pytest.raises(NotFoundError, match="There is no component or predictor 'helo'"):
        pipeline.push(app(), "dev", pretend.tools, name="helo")
    with pytest.raises(UsageError, match="There can be no stage 'My-Stage'"):
        plan(app(), "My-Stage", pretend.tools)


# --- the address before extras ----------------------------------------------------------------------------------


def test_warm_processes_that_aws_refuses_are_a_note_and_the_address_is_there(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend, monkeypatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BackendError("Lambda keeps 10 unreserved.", hint="Raise the quota.")

    pretend.edge["Distribution"] = ADDRESS
    monkeypatch.setattr(deploy_versions, "keep_warm", refused)
    done = go(app())
    assert (done.release, done.url) == (1, "https://app.example.com")
    notes = [event for event in go.told if isinstance(event, Note) and "warm" in event.text]
    assert [(note.text, note.hint) for note in notes] == [
        ("hello answers, but its 0 warm processes could not be had: Lambda keeps 10 unreserved.", "Raise the quota.")
    ]


def test_a_first_release_whose_run_fails_has_its_address_all_the_same(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend, monkeypatch
) -> None:
    def fails(*_: object) -> None:
        raise BackendError("count fails its first example on AWS.")

    pretend.edge["Distribution"] = ADDRESS
    monkeypatch.setattr("matinee.deploy.publish.try_batch", fails)
    with pytest.raises(BackendError, match="The app is live, but count fails"):
        go(app(more=', examples=[{{"n": 1}}]'.replace("{{", "{").replace("}}", "}")))
    assert current_state.read_release(cloud).aws.url == "https://app.example.com"


# --- what is dropped, what is old -------------------------------------------------------------------------------


def test_a_predictor_that_is_dropped_answers_until_the_new_release_is_live(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend
) -> None:
    go(with_bye(app()))
    bye = cloud.names.resource("bye")
    seen = []

    class Watching(dict):
        """Answers as `hello`, and notes whether `bye` is still there while the new version is tried."""

        def get(self, name: str, default: object = None) -> object:
            seen.append(cloud.call("lambda", "get_alias", FunctionName=bye, Name="live")["FunctionVersion"])
            return super().get(name, default)

    pretend.answers = Watching(pretend.answers)
    done = go(app(word="Hi"))
    assert (done.release, seen) == (2, ["1"])
    assert done.versions.keys() == {"hello", "count"}
    gone = cloud.call("lambda", "get_function", absent=("ResourceNotFoundException",), FunctionName=bye)
    assert gone is None
    assert go(app(word="Hi")).changed is False


def test_versions_that_no_release_to_go_back_to_runs_are_removed(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_state, "KEPT_RELEASES", 2)
    for word in ("Hello", "Hi", "Hey"):
        go(app(word=word))
    assert versions_of(cloud) == ["$LATEST", "2", "3"]
    go(app(word="Moin"), only="hello")
    assert versions_of(cloud) == ["$LATEST", "3", "4"]


def test_a_history_of_an_older_matinee_is_read_and_keeps_all_versions(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_state, "KEPT_RELEASES", 2)
    go(app())
    store = current_state.read_release(cloud).store
    written = current_state.history_document(store)
    older = {**written, "releases": [{k: v for k, v in r.items() if k != "functions"} for r in written["releases"]]}
    assert store.swap_document("deploy", "history", written, older)
    go(app(word="Hi"))
    assert versions_of(cloud) == ["$LATEST", "1", "2"]


# --- the network of all apps ------------------------------------------------------------------------------------


def test_an_older_matinee_leaves_the_network_of_a_newer_one_as_it_is(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed], pretend: Pretend, monkeypatch
) -> None:
    go(app())
    before = describe(cloud, NETWORK_STACK)
    monkeypatch.setattr(desired_state, "NETWORK_FORMAT", desired_state.NETWORK_FORMAT - 1)
    monkeypatch.setattr(
        desired_state, "network_template", lambda zones: {**network_template(zones), "Description": "As it once was"}
    )
    planned = plan(app(word="Hi"), "dev", pretend.tools)
    assert NETWORK_STACK not in {line.stack for line in planned.lines}
    assert go(app(word="Hi")).release == 2
    assert describe(cloud, NETWORK_STACK).outputs == before.outputs


def test_another_template_of_the_network_is_another_format() -> None:
    text = json.dumps(network_template(3), sort_keys=True)
    of_format = (desired_state.NETWORK_FORMAT, hashlib.sha256(text.encode()).hexdigest()[:12])
    assert of_format == (1, "ce9ae462d0f8"), (
        "raise NETWORK_FORMAT with the template, or an older Matinee takes the change back"
    )


def test_the_network_is_made_after_what_says_that_an_app_needs_it(
    app: Callable[..., Path], cloud: Cloud, go: Callable[..., Deployed]
) -> None:
    go(app())
    steps = [event.text for event in go.told if hasattr(event, "text")]
    assert steps.index("What is kept: images, table, bucket") < steps.index("The network")


# --- two at once ------------------------------------------------------------------------------------------------

IMAGE, OTHERS = "registry/activity@sha256:1", "registry/activity@sha256:2"
NAME = "matinee-activity-prod-hello"
READY = {"State": "Active", "LastUpdateStatus": "Successful"}


def function(answers: Answers, image: str, revision: str) -> None:
    found = {"Code": {"ImageUri": image}, "Configuration": {"RevisionId": revision}}
    answers("lambda").add_response("get_function", found, {"FunctionName": NAME})


def test_a_function_that_another_deployment_changes_meanwhile_is_not_published(
    recorded: Cloud, answers: Answers
) -> None:
    answers("lambda").add_response("get_function_configuration", READY)
    function(answers, IMAGE, "a")
    published = {"FunctionName": NAME, "RevisionId": "a"}
    answers("lambda").add_client_error("publish_version", "PreconditionFailedException", expected_params=published)
    with pytest.raises(ConflictError, match=f"Another deployment changed the function {NAME} meanwhile"):
        deploy_versions.publish_version(recorded, "hello", IMAGE)


def test_an_image_that_another_deployment_put_in_place_of_ours_is_not_published(
    recorded: Cloud, answers: Answers
) -> None:
    answers("lambda").add_response("get_function_configuration", READY)
    function(answers, OTHERS, "a")
    answers("lambda").add_response(
        "update_function_code", {}, {"FunctionName": NAME, "ImageUri": IMAGE, "RevisionId": "a"}
    )
    answers("lambda").add_response("get_function_configuration", READY)
    function(answers, OTHERS, "c")
    with pytest.raises(ConflictError):
        deploy_versions.publish_version(recorded, "hello", IMAGE)


def test_what_is_published_is_the_revision_that_was_looked_at(recorded: Cloud, answers: Answers) -> None:
    answers("lambda").add_response("get_function_configuration", READY)
    function(answers, IMAGE, "a")
    answers("lambda").add_response("publish_version", {"Version": "7"}, {"FunctionName": NAME, "RevisionId": "a"})
    answers("lambda").add_response("get_function_configuration", READY, {"FunctionName": NAME, "Qualifier": ANY})
    assert deploy_versions.publish_version(recorded, "hello", IMAGE) == "7"
