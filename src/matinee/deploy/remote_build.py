"""`--build remote`: images without an engine here. Contexts go to the bucket, and CodeBuild builds and pushes them.

plan → contexts, zipped, into the bucket → one build for each image, at once → digests from the repository.
Not seen on an account: no emulator builds. What is sent and how answers are read is tested with recorded ones.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matinee.backends.aws.files import S3Files
from matinee.deploy import registry
from matinee.deploy.cloud import Cloud, ImageMoved, Report, WantedImage
from matinee.deploy.registry import PLATFORMS, plans_of
from matinee.deploy.stack_changes import apply
from matinee.deploy.stack_state import StackSpec
from matinee.environments.inspect import InspectedComponent
from matinee.errors import BackendError
from matinee.images.build import stage_code, stage_environment
from matinee.images.plan import ImagePlan
from matinee.lambda_api.sdk import code_of
from matinee.names import Names
from matinee.project.model import Project
from matinee.settings import ENVIRONMENT
from matinee.stack.blueprint import shortened

Json = Any
LONGEST_S = 3600.0
LINES = 20  # of a failed build's log
_ARCHITECTURES = {platform: architecture for architecture, platform in PLATFORMS.items()}


class RemoteImages:
    """Implements `cloud.ImageSource` by CodeBuild."""

    def __init__(self) -> None:
        self._plans: dict[str, ImagePlan] = {}

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """Return the images without building any. Without an engine, bases are not pinned by digest."""
        planned = plans_of(project, inspected, architecture_of, None)
        self._plans = {plan.name: plan for plan in planned}
        return tuple(WantedImage(plan.name, plan.tag, plan.manifest) for plan in planned)

    def push(self, images: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """Have CodeBuild build these; return their digests by component."""
        tags = {"matinee:app": cloud.names.app, "matinee:stage": cloud.names.stage}
        apply(cloud, build_spec(cloud.names, cloud.bucket, tags), report)
        known = registry.images(cloud)
        builds = {
            image.component: _start_build(cloud, self._plans[image.component], known.keys(), report) for image in images
        }
        _await(cloud, builds, report)
        made = registry.images(cloud)
        return {image.component: made[image.tag].digest for image in images}


def _start_build(cloud: Cloud, plan: ImagePlan, known: Any, report: Report) -> str:
    """Upload what an image is built from, start its build and return the build's id."""
    environment = f"environment-{plan.environment.tag}" if plan.environment else ""
    source: dict[str, Json] = {"sourceTypeOverride": "NO_SOURCE"}
    if plan.environment is not None:
        key = f"{CONTEXTS}{plan.tag}.zip"
        size = _upload(cloud, plan, key, with_environment=environment not in known)
        report(ImageMoved(plan.name, f"Uploaded {size / 1e6:.0f} MB to build from"))
        source = {"sourceTypeOverride": "S3", "sourceLocationOverride": f"{cloud.bucket}/{key}"}
    variables = {
        "REPOSITORY": registry.repository_uri(cloud),
        "TAG": plan.tag,
        "ENVIRONMENT": environment,
        "EXISTING": plan.existing,
    }
    try:
        build = cloud.call(
            "codebuild",
            "start_build",
            on=plan.name,
            projectName=project_of(cloud.names, _ARCHITECTURES[plan.platform]),
            environmentVariablesOverride=[{"name": name, "value": value} for name, value in variables.items()],
            **source,
        )
    except BackendError as error:
        raise _start_failure(error) from error
    return str(build["build"]["id"])


def _start_failure(error: BackendError) -> BackendError:
    """Return why no build starts: new accounts have a quota of 0 for a while."""
    if code_of(error.__cause__ or error) != "AccountLimitExceededException":
        return error
    return BackendError(
        "CodeBuild does not build for this account yet: its quota of builds at once is 0.",
        hint="New accounts wait a day or two, or ask AWS Support. Until then build here, with Docker: --build local.",
    )


def _upload(cloud: Cloud, plan: ImagePlan, key: str, *, with_environment: bool) -> int:
    assert plan.environment is not None, "an image that exists is built from nothing"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "code").mkdir()
        stage_code(plan, plan.environment, folder / "code")
        if with_environment:
            (folder / "environment").mkdir()
            stage_environment(plan.environment, folder / "environment")
        with tempfile.TemporaryFile() as archive:
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
                for path in sorted(folder.rglob("*")):
                    packed.write(path, path.relative_to(folder))
            archive.seek(0)
            return S3Files(cloud.session).put(key, archive, media_type="application/zip")


def _await(cloud: Cloud, builds: Mapping[str, str], report: Report) -> None:
    """Wait for all builds and tell how far each is. Raises BackendError for the first that fails."""
    begun, phases = cloud.clock(), dict.fromkeys(builds, "")
    waiting = dict(builds)
    while waiting:
        found = cloud.call("codebuild", "batch_get_builds", ids=list(waiting.values()))["builds"]
        for build in found:
            component = next(name for name, ident in waiting.items() if ident == build["id"])
            phase = str(build.get("currentPhase", ""))
            if phase not in ("", phases[component]):
                phases[component] = phase
                report(ImageMoved(component, f"CodeBuild: {phase.lower().replace('_', ' ')}"))
            if build["buildStatus"] == "SUCCEEDED":
                del waiting[component]
            elif build["buildStatus"] != "IN_PROGRESS":
                raise _build_failure(cloud, component, build)
        if cloud.clock() - begun > LONGEST_S:
            names = ", ".join(waiting)
            raise BackendError(f"CodeBuild has built {names} for an hour without an end.", hint="Deploy again.")
        if waiting:
            cloud.pause()


def _build_failure(cloud: Cloud, component: str, build: Mapping[str, Json]) -> BackendError:
    contexts = [c.get("message", "") for phase in build.get("phases", []) for c in phase.get("contexts", [])]
    why = next((text for text in contexts if text), build["buildStatus"].lower())
    lines = _log(cloud, build.get("logs", {}))
    log = "".join(f"\n    {line}" for line in lines)
    return BackendError(
        f"CodeBuild could not build the image of {component}: {why}{log}",
        hint=f"`matinee build {component}` builds it here, where there is Docker.",
    )


def _log(cloud: Cloud, where: Mapping[str, Json]) -> list[str]:
    if not where.get("groupName") or not where.get("streamName"):
        return []
    answer = cloud.call(
        "logs",
        "get_log_events",
        absent=("ResourceNotFoundException", "AccessDeniedException"),
        logGroupName=where["groupName"],
        logStreamName=where["streamName"],
        limit=LINES,
    )
    return [event["message"].rstrip() for event in (answer or {}).get("events", [])]


# --- the CodeBuild stack ----------------------------------------------------------------------------------------------
# The stack behind `--build remote`: a CodeBuild project for each architecture, its role and its log group.
#
# It costs nothing while nothing is built, and goes with the stage.

CONTEXTS = "deploy/builds/"  # of the bucket: what is built from, kept for a week
TIMEOUT_MIN = 60
# https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-available.html
MACHINES = {
    "arm64": ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
    "x86_64": ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
}
# Two images, one on the other, as the engine of a laptop makes them. What is written here runs in a shell.
STEPS = """\
version: 0.2
env:
  variables:
    BUILDX_NO_DEFAULT_ATTESTATIONS: "1"
phases:
  build:
    on-failure: ABORT
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%%/*}"
      - if [ -n "$EXISTING" ]; then docker pull "$EXISTING"; fi
      - if [ -n "$EXISTING" ]; then docker tag "$EXISTING" "$REPOSITORY:$TAG"; fi
      - if [ -d environment ]; then docker build -t "$REPOSITORY:$ENVIRONMENT" environment; fi
      - if [ -d environment ]; then docker push "$REPOSITORY:$ENVIRONMENT"; fi
      - if [ -z "$EXISTING" ] && [ ! -d environment ]; then docker pull "$REPOSITORY:$ENVIRONMENT"; fi
      - if [ -d code ]; then docker build -t "$REPOSITORY:$TAG" --build-arg "ENVIRONMENT_ARGUMENT=$REPOSITORY:$ENVIRONMENT" code; fi
      - docker push "$REPOSITORY:$TAG"
""".replace("ENVIRONMENT_ARGUMENT", ENVIRONMENT)  # noqa: E501 - a command is one line


def build_stack(names: Names) -> str:
    """Return the stack's name."""
    return f"{names.base}-build"


def project_of(names: Names, architecture: str) -> str:
    """Return the name of the project that builds for an architecture."""
    return names.resource(f"build-{architecture.replace('_', '-')}")


def build_spec(names: Names, bucket: str, tags: Mapping[str, str]) -> StackSpec:
    """Return the stack."""
    group = names.log_group("matinee-build")
    tagged = [{"Key": key, "Value": value} for key, value in tags.items()]
    resources: dict[str, Json] = {
        "Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": group, "RetentionInDays": 14, "Tags": tagged},
        },
        "Role": {"Type": "AWS::IAM::Role", "Properties": _role(names, bucket, group, tagged)},
    }
    for architecture, (kind, image) in MACHINES.items():
        resources[f"Project{architecture.replace('_', '').capitalize()}"] = {
            "Type": "AWS::CodeBuild::Project",
            "Properties": {
                "Name": project_of(names, architecture),
                "ServiceRole": {"Fn::GetAtt": ["Role", "Arn"]},
                "Source": {"Type": "NO_SOURCE", "BuildSpec": STEPS},
                "Artifacts": {"Type": "NO_ARTIFACTS"},
                "TimeoutInMinutes": TIMEOUT_MIN,
                "Environment": {
                    "Type": kind,
                    "Image": image,
                    "ComputeType": "BUILD_GENERAL1_SMALL",
                    "PrivilegedMode": True,  # Docker in it: nothing else builds images there
                },
                "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": group}},
                "Tags": tagged,
            },
        }
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Matinee: what builds images of {names.app} ({names.stage})",
        "Resources": resources,
    }
    return StackSpec(build_stack(names), template, {}, tags)


def _role(names: Names, bucket: str, group: str, tags: list[dict[str, str]]) -> dict[str, Json]:
    def arn(text: str) -> dict[str, str]:
        return {"Fn::Sub": f"arn:${{AWS::Partition}}:{text}"}

    repository = arn(f"ecr:${{AWS::Region}}:${{AWS::AccountId}}:repository/{names.base}")
    logs = arn(f"logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{group}:*")
    statements = [
        _allow("ecr:GetAuthorizationToken", "*"),  # AWS forces this one, as for every role that pulls
        _allow(
            [
                *("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload"),
                *("ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"),
            ],
            repository,
        ),
        _allow(["s3:GetObject", "s3:GetObjectVersion"], arn(f"s3:::{bucket}/{CONTEXTS}*")),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], logs),
    ]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "codebuild.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    return {
        "RoleName": shortened(f"{names.base}-matinee-build"),
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [
            {"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}},
        ],
        "Tags": tags,
    }


def _allow(actions: Json, resource: Json) -> dict[str, Json]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
