"""What sizes Fargate and Lambda have, and what to say to a predictor that asks for another. Pure: no CloudFormation.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from matinee.errors import ProjectError
from matinee.manifest import PredictorManifest
from matinee.project.aws import UiSize

LAMBDA_MEMORY_MB = 10_240
LAMBDA_TIMEOUT_S = 900
_GB = 1024
FARGATE_MB = {  # vCPU → what memory it comes with
    0.25: (512, 1 * _GB, 2 * _GB),
    0.5: tuple(range(1 * _GB, 4 * _GB + 1, _GB)),
    1.0: tuple(range(2 * _GB, 8 * _GB + 1, _GB)),
    2.0: tuple(range(4 * _GB, 16 * _GB + 1, _GB)),
    4.0: tuple(range(8 * _GB, 30 * _GB + 1, _GB)),
    8.0: tuple(range(16 * _GB, 60 * _GB + 1, 4 * _GB)),
    16.0: tuple(range(32 * _GB, 120 * _GB + 1, 8 * _GB)),
}


@dataclass(frozen=True)
class FargateSize:
    """A size of a task."""

    cpu: float
    memory_mb: int

    @property
    def cpu_units(self) -> int:
        """The vCPU as ECS counts them."""
        return int(self.cpu * 1024)

    def __str__(self) -> str:
        return f"cpu = {self.cpu:g} with memory_mb = {self.memory_mb}"


_SIZES = tuple(FargateSize(cpu, memory) for cpu, memories in FARGATE_MB.items() for memory in memories)


def is_fargate_size(cpu: float, memory_mb: int) -> bool:
    """Whether Fargate has tasks of this size."""
    return memory_mb in FARGATE_MB.get(cpu, ())


def nearest_sizes(cpu: float, memory_mb: int) -> tuple[FargateSize, ...]:
    """Return the sizes to offer instead: the smallest that has both, and the largest that is within both."""
    enough = [size for size in _SIZES if size.cpu >= cpu and size.memory_mb >= memory_mb]
    within = [size for size in _SIZES if size.cpu <= cpu and size.memory_mb <= memory_mb]
    found = [min(enough, key=_order, default=None), max(within, key=_order, default=None)]
    return tuple(size for size in found if size) or (_SIZES[0],)


def _order(size: FargateSize) -> tuple[float, int]:
    return size.cpu, size.memory_mb


def fargate_size(predictor: PredictorManifest) -> FargateSize:
    """Return the size of a predictor's workers; for the rows of a realtime one, the smallest with its memory."""
    resources = predictor.resources
    if predictor.kind == "batch":
        return FargateSize(resources.cpu, resources.memory_mb)
    return nearest_sizes(_SIZES[0].cpu, resources.memory_mb)[0]


def check_size(where: str, cpu: float, memory_mb: int) -> None:
    """Raise ProjectError, with the nearest sizes, for one that Fargate does not have."""
    if not is_fargate_size(cpu, memory_mb):
        offered = " or ".join(map(str, nearest_sizes(cpu, memory_mb)))
        raise ProjectError(
            f"{where} asks for cpu = {cpu:g} with memory_mb = {memory_mb}, and Fargate has no such size.",
            hint=f"Nearest: {offered}.",
        )


def problems(ui: UiSize, predictors: Iterable[PredictorManifest]) -> list[ProjectError]:
    """Return everything that AWS has no place for: the UI's size, and the predictors'."""
    found = []
    checks = (partial(check_size, "[aws.ui]", ui.cpu, ui.memory_mb), *(partial(check_predictor, p) for p in predictors))
    for check in checks:
        try:
            check()
        except ProjectError as error:
            found.append(error)
    return found


def check_predictor(predictor: PredictorManifest) -> None:
    """Raise ProjectError for a predictor that AWS has no place for."""
    resources, name = predictor.resources, predictor.name
    if predictor.kind == "batch":
        if not resources.gpu:
            check_size(f"The predictor {name}", resources.cpu, resources.memory_mb)
        return
    if resources.gpu:
        raise _too_much(name, f"gpu = {resources.gpu}", "none")
    if resources.memory_mb > LAMBDA_MEMORY_MB:
        raise _too_much(name, f"memory_mb = {resources.memory_mb}", f"at most {LAMBDA_MEMORY_MB:,} MB")
    if resources.timeout_s > LAMBDA_TIMEOUT_S:
        raise _too_much(name, f"timeout_s = {resources.timeout_s:g}", f"at most {LAMBDA_TIMEOUT_S} s")


def _too_much(name: str, asked: str, limit: str) -> ProjectError:
    return ProjectError(
        f"The realtime predictor {name} asks for {asked}; AWS Lambda has {limit}.",
        hint="Make it batch: @batch instead of @realtime, and a worker runs it.",
    )
