"""The stack behind `--build remote`: a CodeBuild project for each architecture, its role and its log group.

It costs nothing while nothing is built, and goes with the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matinee.names import Names
from matinee.ops.deploy.stacks.model import StackSpec
from matinee.settings import ENVIRONMENT
from matinee.stack.ids import shortened

Json = Any
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
