"""Workers on Fargate: a task definition for each predictor, for the dispatcher to run. There is no service.

Realtime predictors have one too, for the rows of a table that is predicted as one batch run.
"""

from __future__ import annotations

import math
from typing import Any

from troposphere import GetAtt, Ref, awslambda, batch, ecs, events, iam

from matinee.manifest import PredictorManifest
from matinee.stack import blueprint, permissions
from matinee.stack.blueprint import RETAINED, Blueprint, fargate_size, logical
from matinee.stack.builder import SCRATCH, STOP_S, Sheet, container, from_parameters, in_a_task, predictor_environment

CONTAINER = "worker"  # as `backends.aws.launcher_settings` overrides it
PLATFORM = {"arm64": "ARM64", "x86_64": "X86_64"}
# Blocking: a run's lines are its record, and a worker that waits for CloudWatch loses none. Should it wait for longer
# than a lease, another worker takes the run over: the fence holds.
LOG_MODE = {"mode": "blocking"}


def add_batch(sheet: Sheet, b: Blueprint) -> None:
    """Add the task definition of every predictor that runs on Fargate."""
    for predictor in b.on_fargate:
        definition = sheet.add(_definition(b, predictor))
        sheet.give(
            blueprint.definition_output(predictor.name), Ref(definition), f"What workers of {predictor.name} run"
        )


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


# --- GPU workers ------------------------------------------------------------------------------------------------------
# Workers with a GPU: AWS Batch on ECS Managed Instances, since Fargate has no GPU. No machine while nothing is queued.
#
# Jobs share their machine's network: the subnets must give public addresses, and no worker runs as root.
# https://docs.aws.amazon.com/batch/latest/userguide/ecs-managed-instances-job-definitions.html

NOBODY = "65534:65534"  # as the images have it; said here too, for an image of the user's own
IDLE_S = 300  # how long a machine waits for another job
INSTANCES = {  # GPUs of one job, at most → types that have so many, cheapest first; all are x86
    1: ("g4dn.xlarge", "g4dn.2xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge", "g6.2xlarge"),
    4: ("g4dn.12xlarge", "g5.12xlarge", "g6.12xlarge"),
    8: ("g5.48xlarge", "g6.48xlarge"),
}


def add_gpu(sheet: Sheet, b: Blueprint) -> None:
    """Add machines, queue and job definitions, if a predictor wants a GPU."""
    if not b.on_gpu:
        return
    machines = sheet.add(_machines(sheet, b))
    queue = sheet.add(
        batch.JobQueue(
            "JobQueue",
            JobQueueName=b.names.base,
            Priority=1,
            State="ENABLED",
            ComputeEnvironmentOrder=[batch.ComputeEnvironmentOrder(ComputeEnvironment=Ref(machines), Order=1)],
        )
    )
    for predictor in b.on_gpu:
        definition = sheet.add(_gpu_definition(b, predictor))
        sheet.give(
            blueprint.definition_output(predictor.name), Ref(definition), f"What workers of {predictor.name} run"
        )
    _rule(sheet, b, queue)


def instance_types(b: Blueprint) -> tuple[str, ...]:
    """Return the types that may be started: what `[aws]` names, else what has the GPUs of the largest job."""
    most = max(predictor.resources.gpu for predictor in b.on_gpu)
    return b.aws.gpu_instances or next(types for gpus, types in INSTANCES.items() if gpus >= most)


def _machines(sheet: Sheet, b: Blueprint) -> batch.ComputeEnvironment:
    profile = sheet.add(iam.InstanceProfile("InstanceProfile", Roles=[Ref("InstanceRole")]))
    vcpus = sum(math.ceil(q.resources.cpu) * q.resources.max_workers for q in b.on_gpu)
    template = batch.InstanceLaunchTemplate(
        Ec2InstanceProfileArn=GetAtt(profile, "Arn"),
        CapacityOptionType="ON_DEMAND",  # there is no way back from Spot that has no capacity
        InstanceRequirements=batch.InstanceRequirements(AllowedInstanceTypes=list(instance_types(b))),
        NetworkConfiguration=batch.ManagedInstancesNetworkConfiguration(
            Subnets=Ref(blueprint.SUBNETS), SecurityGroups=[Ref("WorkersSecurityGroup")]
        ),
    )
    return batch.ComputeEnvironment(
        "GpuMachines",  # without a name: one that is replaced can be made beside the old one
        Type="MANAGED",
        State="ENABLED",
        ReplaceComputeEnvironment=False,
        ComputeResources=batch.ComputeResources(
            Type="ECS_MANAGED_INSTANCES",
            MaxvCpus=max(4, vcpus),
            ManagedInstancesProvider=batch.ManagedInstancesProvider(
                InfrastructureRoleArn=GetAtt("InfrastructureRole", "Arn"),
                InstanceLaunchTemplate=template,
                InfrastructureOptimization=batch.InfrastructureOptimization(ScaleInAfter=IDLE_S),
                PropagateTags="CAPACITY_PROVIDER",
            ),
        ),
    )


def _gpu_definition(b: Blueprint, predictor: PredictorManifest) -> batch.JobDefinition:
    task = batch.EcsTaskProperties(
        Containers=[_container(b, predictor)],
        ExecutionRoleArn=GetAtt(permissions.execution_role_id(predictor.name), "Arn"),
        TaskRoleArn=GetAtt(permissions.worker_role_id(predictor.name), "Arn"),
        NetworkMode="host",
        RuntimePlatform=batch.RuntimePlatform(
            CpuArchitecture=PLATFORM[b.architecture(predictor.component)], OperatingSystemFamily="LINUX"
        ),
        Volumes=[batch.Volumes(Name=SCRATCH)],
    )
    definition = batch.JobDefinition(
        f"Definition{logical(predictor.name)}",
        JobDefinitionName=b.names.resource(predictor.name),
        Type="container",
        PlatformCapabilities=["MANAGED_INSTANCES"],
        EcsProperties=batch.EcsProperties(TaskProperties=[task]),
        PropagateTags=True,
        RetryStrategy=batch.RetryStrategy(Attempts=1),  # runs are retried by the queue, with their fence
        ResourceRetentionPolicy=batch.ResourceRetentionPolicy(SkipDeregisterOnUpdate=True),  # releases may go back
    )
    definition.DeletionPolicy = definition.UpdateReplacePolicy = RETAINED
    return definition


def _container(b: Blueprint, predictor: PredictorManifest) -> batch.TaskContainerProperties:
    resources = predictor.resources
    needs = {"VCPU": math.ceil(resources.cpu), "MEMORY": resources.memory_mb, "GPU": resources.gpu}
    secrets = from_parameters(b, resources.secrets)
    return batch.TaskContainerProperties(
        Name=CONTAINER,
        Image=Ref(blueprint.image_parameter(predictor.component)),
        Command=["worker"],
        Essential=True,
        User=NOBODY,
        Environment=[
            batch.Environment(Name=one.Name, Value=one.Value) for one in in_a_task(predictor_environment(b, predictor))
        ],
        Secrets=[batch.Secret(Name=name, ValueFrom=value) for name, value in sorted(secrets.items())],
        ResourceRequirements=[batch.ResourceRequirement(Type=kind, Value=str(n)) for kind, n in needs.items()],
        ReadonlyRootFilesystem=True,
        MountPoints=[batch.MountPoints(SourceVolume=SCRATCH, ContainerPath="/tmp", ReadOnly=False)],  # noqa: S108
        StopTimeout=STOP_S,
        LogConfiguration=batch.LogConfiguration(
            LogDriver="awslogs",
            Options={
                "awslogs-group": b.names.log_group(predictor.name),
                "awslogs-region": Ref("AWS::Region"),
                "awslogs-stream-prefix": CONTAINER,
                **LOG_MODE,
            },
        ),
    )


def _rule(sheet: Sheet, b: Blueprint, queue: Any) -> None:
    """https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html."""
    rule = sheet.add(
        events.Rule(
            "JobEndedRule",
            Name=b.names.resource("job-ended"),
            Description="A worker with a GPU has ended: is another one needed?",
            State="ENABLED",
            EventPattern={
                "source": ["aws.batch"],
                "detail-type": ["Batch Job State Change"],
                "detail": {"jobQueue": [Ref(queue)], "status": ["SUCCEEDED", "FAILED"]},
            },
            Targets=[events.Target(Id="dispatcher", Arn=Ref("DispatcherAlias"))],
        )
    )
    sheet.add(
        awslambda.Permission(
            "JobEndedPermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref("DispatcherAlias"),
            Principal="events.amazonaws.com",
            SourceArn=GetAtt(rule, "Arn"),
        )
    )
