"""What all workloads have in common: their environment, and a container as ECS is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troposphere import Ref, ecs

from matinee import settings
from matinee.manifest import PredictorManifest
from matinee.stack import parameters as p
from matinee.stack.blueprint import Blueprint
from matinee.stack.sheet import arn, said

STOP_S = 120  # the longest Fargate gives: a worker releases its run, the UI ends its connections
SCRATCH = "scratch"  # the volume at /tmp


def environment(b: Blueprint) -> dict[str, Any]:
    """Return the variables that every workload has."""
    return settings.workload_environment(b.names.app, b.names.stage, b.names.prefix, b.names.base, Ref(p.BUCKET))


def predictor_environment(b: Blueprint, predictor: PredictorManifest) -> dict[str, Any]:
    """Return the variables of a predictor's function and of its workers."""
    label = Ref(p.label_parameter(predictor.component))
    return {**environment(b), **settings.predictor_environment(predictor.name, label)}


def in_a_task(variables: Mapping[str, Any]) -> list[ecs.Environment]:
    """Return variables as a container has them; Lambda tells its region by itself."""
    whole = {**variables, "AWS_REGION": Ref("AWS::Region")}
    return [ecs.Environment(Name=name, Value=value) for name, value in sorted(whole.items())]


def container(
    b: Blueprint,
    name: str,
    image: str,
    variables: Mapping[str, Any],
    *,
    log_name: str,
    log_mode: Mapping[str, str],
    secrets: Mapping[str, Any] | None = None,
    **more: Any,
) -> ecs.ContainerDefinition:
    """Return a container whose root cannot be written; /tmp is a volume, as the image's VOLUME has its owner."""
    return ecs.ContainerDefinition(
        Name=name,
        Image=Ref(p.image_parameter(image)),
        Essential=True,
        Environment=in_a_task(variables),
        Secrets=[ecs.Secret(Name=key, ValueFrom=value) for key, value in sorted((secrets or {}).items())],
        ReadonlyRootFilesystem=True,
        MountPoints=[ecs.MountPoint(SourceVolume=SCRATCH, ContainerPath="/tmp", ReadOnly=False)],  # noqa: S108
        LinuxParameters=ecs.LinuxParameters(
            InitProcessEnabled=False,  # the image's own process is PID 1 and handles SIGTERM
            Capabilities=ecs.KernelCapabilities(Drop=["ALL"]),
        ),
        StopTimeout=STOP_S,
        LogConfiguration=ecs.LogConfiguration(
            LogDriver="awslogs",
            Options={
                "awslogs-group": b.names.log_group(log_name),
                "awslogs-region": Ref("AWS::Region"),
                "awslogs-stream-prefix": name,
                **log_mode,
            },
        ),
        **more,
    )


def parameter_arn(b: Blueprint, secret: str) -> Any:
    """Return the SSM parameter of a secret."""
    return said(arn("ssm", "parameter" + b.names.parameter(secret)))


def from_parameters(b: Blueprint, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return secrets of a task by variable."""
    return {name: parameter_arn(b, name) for name in secrets}


def for_a_function(b: Blueprint, secrets: tuple[str, ...]) -> dict[str, str]:
    """Return the variable that tells a function where its secrets are: Lambda itself has none."""
    return settings.secrets_environment({name: b.names.parameter(name) for name in secrets})
