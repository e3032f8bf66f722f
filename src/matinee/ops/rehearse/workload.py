"""What was deployed, read back: a task definition or a function as one value that says what to start and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matinee.errors import BackendError

Json = Any
STOP_TIMEOUT_S = 30.0  # what ECS waits between SIGTERM and SIGKILL when a definition does not say


@dataclass(frozen=True)
class Workload:
    """One container of what was deployed. `environment` is the template's, without region, endpoint and credentials."""

    name: str  # of its function or task definition
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    role: str  # an ARN; "" = it has none
    memory_mb: int
    cpu: float = 0.0  # vCPU; 0 = not limited
    timeout_s: float = 0.0
    is_read_only: bool = False
    stop_timeout_s: float = STOP_TIMEOUT_S
    port: int = 0  # what it listens on; 0 = nothing
    container: str = ""
    execution_role: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable → SSM parameter or secret
    log_group: str = ""
    log_prefix: str = ""


def of_task(definition: Json, overrides: Json | None = None) -> Workload:
    """Return the one container of a task definition, with a RunTask's overrides; BackendError when there are more."""
    containers = definition["containerDefinitions"]
    if len(containers) != 1:
        raise BackendError(f"The task definition {definition['family']} has {len(containers)} containers, not one.")
    (container,) = containers
    over = _override(overrides or {}, container["name"])
    logs = container.get("logConfiguration", {}).get("options", {})
    return Workload(
        name=definition["family"],
        image=container["image"],
        command=tuple(over.get("command") or container.get("command", ())),
        environment=_pairs(container.get("environment", ())) | _pairs(over.get("environment", ())),
        role=(overrides or {}).get("taskRoleArn") or definition.get("taskRoleArn", ""),
        memory_mb=int(definition.get("memory") or container.get("memory") or 512),
        cpu=int(definition.get("cpu") or 256) / 1024,
        is_read_only=bool(container.get("readonlyRootFilesystem")),
        stop_timeout_s=float(container.get("stopTimeout") or STOP_TIMEOUT_S),
        port=next((int(p["containerPort"]) for p in container.get("portMappings", ())), 0),
        container=container["name"],
        execution_role=definition.get("executionRoleArn", ""),
        secrets={s["name"]: s["valueFrom"] for s in container.get("secrets", ())},
        log_group=logs.get("awslogs-group", ""),
        log_prefix=logs.get("awslogs-stream-prefix", ""),
    )


def of_function(configuration: Json, image: str) -> Workload:
    """Return a function as it is configured; `image` is where its code is."""
    config = configuration.get("ImageConfigResponse", {}).get("ImageConfig", {})
    name = configuration["FunctionName"]
    return Workload(
        name=name,
        image=image,
        command=tuple(config.get("Command", ())),
        environment=dict(configuration.get("Environment", {}).get("Variables", {})),
        role=configuration["Role"],
        memory_mb=int(configuration["MemorySize"]),
        timeout_s=float(configuration["Timeout"]),
        is_read_only=True,  # all but /tmp is, on Lambda
        log_group=configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}",
    )


def _override(overrides: Json, name: str) -> Json:
    return next((o for o in overrides.get("containerOverrides", ()) if o.get("name") == name), {})


def _pairs(variables: Json) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in variables}
