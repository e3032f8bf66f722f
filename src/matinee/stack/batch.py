"""Workers on Fargate: a task definition for each predictor, for the dispatcher to run. There is no service.

Realtime predictors have one too, for the rows of a table that is predicted as one batch run.
"""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, ecs

from matinee.manifest import PredictorManifest
from matinee.stack import parameters as p
from matinee.stack import permissions
from matinee.stack.blueprint import Blueprint
from matinee.stack.ids import logical
from matinee.stack.sheet import RETAINED, Sheet
from matinee.stack.sizes import fargate_size
from matinee.stack.workloads import SCRATCH, container, from_parameters, predictor_environment

CONTAINER = "worker"  # as `backends.aws.launcher_settings` overrides it
PLATFORM = {"arm64": "ARM64", "x86_64": "X86_64"}
# Blocking: a run's lines are its record, and a worker that waits for CloudWatch loses none. Should it wait for longer
# than a lease, another worker takes the run over: the fence holds.
LOG_MODE = {"mode": "blocking"}


def add(sheet: Sheet, b: Blueprint) -> None:
    """Add the task definition of every predictor that runs on Fargate."""
    for predictor in b.on_fargate:
        definition = sheet.add(_definition(b, predictor))
        sheet.give(p.definition_output(predictor.name), Ref(definition), f"What workers of {predictor.name} run")


def task(b: Blueprint, title: str, component: str, cpu: int, memory_mb: int, **more: Any) -> ecs.TaskDefinition:
    """Return a task on Fargate."""
    return ecs.TaskDefinition(
        title,
        RequiresCompatibilities=["FARGATE"],
        NetworkMode="awsvpc",
        Cpu=str(cpu),
        Memory=str(memory_mb),
        RuntimePlatform=ecs.RuntimePlatform(
            CpuArchitecture=PLATFORM[b.architecture(component)], OperatingSystemFamily="LINUX"
        ),
        Volumes=[ecs.Volume(Name=SCRATCH)],
        **more,
    )


def _definition(b: Blueprint, predictor: PredictorManifest) -> ecs.TaskDefinition:
    size = fargate_size(predictor)
    definition = task(
        b,
        f"Definition{logical(predictor.name)}",
        predictor.component,
        size.cpu_units,
        size.memory_mb,
        Family=b.names.resource(predictor.name),
        TaskRoleArn=GetAtt(permissions.worker_role_id(predictor.name), "Arn"),
        ExecutionRoleArn=GetAtt(permissions.execution_role_id(predictor.name), "Arn"),
        ContainerDefinitions=[worker(b, predictor)],
    )
    # Replaced, it would be deregistered, and a former release could not run any more. The tool removes old ones.
    definition.DeletionPolicy = definition.UpdateReplacePolicy = RETAINED
    return definition


def worker(b: Blueprint, predictor: PredictorManifest, **more: Any) -> ecs.ContainerDefinition:
    """Return a worker's container: which slot it holds is told when it is started."""
    return container(
        b,
        CONTAINER,
        predictor.component,
        predictor_environment(b, predictor),
        log_name=predictor.name,
        log_mode=LOG_MODE,
        secrets=from_parameters(b, predictor.resources.secrets),
        Command=["worker"],
        **more,
    )
