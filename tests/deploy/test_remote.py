"""`--build remote`: what is sent to CodeBuild, and how its answers are read. No emulator builds: they are recorded."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from matinee.backends.aws import files
from matinee.deploy import registry, remote_build
from matinee.deploy.cloud import Cloud, ImageMoved, WantedImage
from matinee.deploy.registry import KeptImage
from matinee.deploy.remote_build import RemoteImages, build_spec, project_of
from matinee.deploy.stack_changes import apply, delete_stack
from matinee.deploy.stack_state import StackState
from matinee.errors import BackendError
from matinee.images.plan import resolve_base
from matinee.manifest import ComponentManifest

Answers = Callable[[str], Stubber]
WANTED = WantedImage("hello", "hello-1f", ComponentManifest("hello", "1f"))
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def uploaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, zipfile.ZipFile]:
    """Return what was put into the bucket, by key."""
    found: dict[str, zipfile.ZipFile] = {}

    def put(self, key: str, data: Any, **_: Any) -> int:
        found[key] = zipfile.ZipFile(io.BytesIO(data.read()))
        return 12_000_000

    monkeypatch.setattr(files.S3Files, "put", put)
    return found


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteImages:
    """Return a source with one plan, whose stack is there already."""
    layer = tmp_path / "packages.tar"
    layer.write_bytes(b"layer")
    environment = SimpleNamespace(
        tag="hello-e1",
        layers=(SimpleNamespace(name="packages", make=lambda: layer),),
        dockerfile="FROM python:3.11-slim\n",
        python=Path(sys.executable),
    )

    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "hello.py").write_text("x = 1\n")

    made = RemoteImages()
    made._plans["hello"] = SimpleNamespace(
        name="hello",
        tag="hello-1f",
        platform="linux/arm64",
        manifest=WANTED.manifest,
        environment=environment,
        context=SimpleNamespace(write=write),
        dockerfile="ARG MATINEE_ENVIRONMENT\n",
        existing="",
    )
    state = StackState("id", "matinee-activity-prod-build", "CREATE_COMPLETE")
    monkeypatch.setattr(remote_build, "apply", lambda *_: state)
    return made


BASES = {
    "python:3.12-slim": "public.ecr.aws/docker/library/python:3.12-slim",
    "docker.io/library/python:3.12": "public.ecr.aws/docker/library/python:3.12",
    "nvidia/cuda:12.4.1-runtime-ubuntu22.04": "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
    "registry.example.com/team/base:7": "registry.example.com/team/base:7",
}


@pytest.mark.parametrize(("name", "reference"), BASES.items(), ids=BASES)
def test_a_base_is_taken_from_amazon_s_registry_where_docker_hub_refuses_codebuild(name: str, reference: str) -> None:
    assert resolve_base(None, name, "linux/arm64").reference == reference


def repository(monkeypatch: pytest.MonkeyPatch, *lists: dict[str, str]) -> None:
    answers = iter(lists)
    as_kept = lambda tags: {tag: KeptImage(tag, digest, 0.0) for tag, digest in tags.items()}  # noqa: E731
    monkeypatch.setattr(registry, "images", lambda _: as_kept(next(answers)))


def start(answers: Answers, **source: Any) -> None:
    variables = {
        "REPOSITORY": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/matinee-activity-prod",
        "TAG": "hello-1f",
        "ENVIRONMENT": "environment-hello-e1",
        "EXISTING": "",
    }
    wanted = {
        "projectName": "matinee-activity-prod-build-arm64",
        "environmentVariablesOverride": [{"name": name, "value": value} for name, value in variables.items()],
        "sourceTypeOverride": "S3",
        "sourceLocationOverride": f"{source['bucket']}/deploy/builds/hello-1f.zip",
    }
    answers("codebuild").add_response("start_build", {"build": {"id": "b:1"}}, wanted)


def look(answers: Answers, status: str, phase: str, **more: Any) -> None:
    build = {"id": "b:1", "buildStatus": status, "currentPhase": phase, **more}
    answers("codebuild").add_response("batch_get_builds", {"builds": [build]}, {"ids": ["b:1"]})


def test_a_context_is_uploaded_built_and_its_digest_comes_from_the_repository(
    recorded: Cloud, answers: Answers, source: RemoteImages, uploaded: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(monkeypatch, {}, {"hello-1f": DIGEST})
    start(answers, bucket=recorded.bucket)
    look(answers, "IN_PROGRESS", "BUILD")
    look(answers, "SUCCEEDED", "COMPLETED")
    told: list[ImageMoved] = []
    assert source.push([WANTED], recorded, told.append) == {"hello": DIGEST}
    names = set(uploaded["deploy/builds/hello-1f.zip"].namelist())
    assert {"environment/packages.tar", "environment/Dockerfile", "code/Dockerfile", "code/app/hello.py"} <= names
    manifest = json.loads(uploaded["deploy/builds/hello-1f.zip"].read("code/app/manifest.json"))
    assert manifest["name"] == "hello"
    assert [event.text for event in told] == [
        "Uploaded 12 MB to build from",
        "CodeBuild: build",
        "CodeBuild: completed",
    ]


def test_an_environment_that_was_built_before_is_not_uploaded_again(
    recorded: Cloud, answers: Answers, source: RemoteImages, uploaded: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(monkeypatch, {"environment-hello-e1": DIGEST}, {"hello-1f": DIGEST})
    start(answers, bucket=recorded.bucket)
    look(answers, "SUCCEEDED", "COMPLETED")
    source.push([WANTED], recorded, lambda _: None)
    assert not [name for name in uploaded["deploy/builds/hello-1f.zip"].namelist() if name.startswith("environment/")]


def test_a_build_that_fails_says_why_with_its_last_lines(
    recorded: Cloud, answers: Answers, source: RemoteImages, uploaded: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(monkeypatch, {})
    start(answers, bucket=recorded.bucket)
    why = "Error while executing command: docker build. Reason: exit status 1"
    phases = [{"phaseType": "BUILD", "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": why}]}]
    look(answers, "FAILED", "COMPLETED", phases=phases, logs={"groupName": "g", "streamName": "s"})
    lines = {"events": [{"message": "toomanyrequests: You have reached your pull rate limit\n"}]}
    answers("logs").add_response("get_log_events", lines, {"logGroupName": "g", "logStreamName": "s", "limit": 20})
    with pytest.raises(BackendError) as raised:
        source.push([WANTED], recorded, lambda _: None)
    sentence, line = raised.value.message.split("\n")
    assert sentence == f"CodeBuild could not build the image of hello: {why}"
    assert line.strip() == "toomanyrequests: You have reached your pull rate limit"
    assert raised.value.hint == "`matinee build hello` builds it here, where there is Docker."


def test_correction_5_a_new_account_may_build_nothing(
    recorded: Cloud, answers: Answers, source: RemoteImages, uploaded: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(monkeypatch, {})
    said = "Cannot have more than 0 builds in queue for the account"
    answers("codebuild").add_client_error("start_build", "AccountLimitExceededException", said)
    with pytest.raises(BackendError) as raised:
        source.push([WANTED], recorded, lambda _: None)
    assert raised.value.message.startswith("CodeBuild does not build for this account yet")
    assert "--build local" in raised.value.hint


def test_an_image_that_exists_is_copied_without_a_context(
    recorded: Cloud, answers: Answers, source: RemoteImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(monkeypatch, {}, {"hello-1f": DIGEST})
    source._plans["hello"].environment, source._plans["hello"].existing = None, "ghcr.io/ada/model:3"
    given = {"projectName": ANY, "environmentVariablesOverride": ANY, "sourceTypeOverride": "NO_SOURCE"}
    answers("codebuild").add_response("start_build", {"build": {"id": "b:1"}}, given)
    look(answers, "SUCCEEDED", "COMPLETED")
    assert source.push([WANTED], recorded, lambda _: None) == {"hello": DIGEST}


def test_what_builds_is_a_stack_of_its_own_that_lint_has_nothing_to_say_of(recorded: Cloud, tmp_path: Path) -> None:
    spec = build_spec(recorded.names, recorded.bucket, {"matinee:app": "activity"})
    file = tmp_path / "template.json"
    file.write_text(json.dumps(dict(spec.template)))
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        [str(bin_folder / "cfn-lint"), str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout


def test_it_is_made_and_removed_on_the_emulator(cloud: Cloud) -> None:
    spec = build_spec(cloud.names, cloud.bucket, {"matinee:app": cloud.names.app})
    state = apply(cloud, spec, lambda _: None)
    assert state.status == "CREATE_COMPLETE"
    names = [project_of(cloud.names, architecture) for architecture in ("arm64", "x86_64")]
    found = cloud.call("codebuild", "batch_get_projects", names=names)["projects"]
    assert sorted(project["name"] for project in found) == sorted(names)
    delete_stack(cloud, state, lambda _: None)
