"""A template while it is made: parameters, resources, outputs; and its tags, put on everything that takes tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from troposphere import AWSObject, Output, Parameter, Ref, Sub, Tags, Template, ecs

from matinee import settings
from matinee.manifest import PredictorManifest
from matinee.stack import blueprint
from matinee.stack.blueprint import Blueprint, StackParameter, arn
from matinee.stack.limits import MOST_OF, too_many

Json = Any


class Sheet:
    """What the subjects write to, one after another."""

    def __init__(self, description: str, parameters: Iterable[StackParameter], tags: Mapping[str, str]) -> None:
        self._template = Template(Description=description)
        self._template.set_version("2010-09-09")
        self._tags = dict(tags)
        for one in parameters:
            _check_room("Parameters", self._template.parameters)
            self._template.add_parameter(Parameter(one.name, Type=one.type, Description=one.description))

    def add(self, resource: Any) -> Any:
        """Add a resource, tagged if its kind takes tags, and return it."""
        if isinstance(resource, AWSObject) and self._tags:
            kind = resource.props.get("Tags", (None,))[0]
            if kind is dict:
                resource.Tags = dict(self._tags)
            elif kind is not None:
                resource.Tags = Tags(**self._tags)
        _check_room("Resources", self._template.resources)
        return self._template.add_resource(resource)

    def give(self, name: str, value: Any, description: str) -> None:
        """Add an output."""
        _check_room("Outputs", self._template.outputs)
        self._template.add_output(Output(name, Value=value, Description=description))

    def done(self) -> dict[str, Json]:
        """Return the template as JSON values."""
        made: dict[str, Json] = self._template.to_dict()
        return made


def _check_room(section: str, there: Mapping[str, Any]) -> None:
    """Raise ProjectError where CloudFormation would take no more of them: troposphere would end with a traceback."""
    if len(there) >= MOST_OF[section]:
        raise too_many(section)


def substitute(text: str) -> Any:
    """Return a text with `${AWS::Region}` and the like as what CloudFormation fills in."""
    return Sub(text) if "${" in text else text


# --- environment and containers ---------------------------------------------------------------------------------------
# What all workloads have in common: their environment, and a container as ECS is told of it.

STOP_S = 120  # the longest Fargate gives: a worker releases its run, the UI ends its connections
SCRATCH = "scratch"  # the volume at /tmp


def environment(b: Blueprint) -> dict[str, Any]:
    """Return the variables that every workload has."""
    return settings.workload_environment(
        b.names.app, b.names.stage, b.names.prefix, b.names.base, Ref(blueprint.BUCKET)
    )


def predictor_environment(b: Blueprint, predictor: PredictorManifest) -> dict[str, Any]:
    """Return the variables of a predictor's function and of its workers."""
    label = Ref(blueprint.label_parameter(predictor.component))
    own = predictor.resources.environment
    return {**own, **environment(b), **settings.predictor_environment(predictor.name, label)}


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
        Image=Ref(blueprint.image_parameter(image)),
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
    return substitute(arn("ssm", "parameter" + b.names.parameter(secret)))


def from_parameters(b: Blueprint, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return secrets of a task by variable."""
    return {name: parameter_arn(b, name) for name in secrets}


def for_a_function(b: Blueprint, secrets: tuple[str, ...]) -> dict[str, str]:
    """Return the variable that tells a function where its secrets are: Lambda itself has none."""
    return settings.secrets_environment({name: b.names.parameter(name) for name in secrets})
